SELECT id, v FROM temporary_tables ORDER BY id;
--> 1 | 2
--> 101 | 101
