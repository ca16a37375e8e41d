SELECT id, flag, b FROM tinyint_one WHERE id IN (1, 2, 103, 104) ORDER BY id;
--> 1 | 9 | 1
--> 2 | 5 | 0
--> 103 | -128 | NULL
--> 104 | 127 | 2
