SELECT id, boss FROM pg_self_reference ORDER BY id;
--> 2 | 2
--> 3 | 2
--> 101 | 102
--> 102 | 101
