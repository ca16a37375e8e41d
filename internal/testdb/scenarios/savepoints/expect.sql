SELECT id, v FROM savepoints ORDER BY id;
--> 1 | 1
--> 2 | 22
--> 101 | 101
