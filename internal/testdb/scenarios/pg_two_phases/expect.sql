SELECT id, v FROM pg_two_phases ORDER BY id;
--> 1 | 1
--> 102 | 102
--> 103 | 103
