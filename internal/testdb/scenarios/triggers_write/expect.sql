SELECT id, v FROM triggers_write ORDER BY id;
--> 1 | 50
--> 2 | 2
--> 101 | 1
SELECT id, what, ref FROM triggers_write_audit ORDER BY id;
--> 1 | insert | 1
--> 2 | insert | 2
--> 3 | insert | 101
--> 4 | update | 1
