SELECT id, k, v FROM pg_statements WHERE id <> 101 ORDER BY id;
--> 1 | 1 | dup!
--> 2 | 2 | dup!
--> 102 | 102 | NULL
--> 103 | 103 | back\slash
--> 104 | 104 | kept
--> 1003 | 3 | c
