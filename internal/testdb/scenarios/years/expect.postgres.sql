SELECT id, y FROM years WHERE id IN (1, 4, 5, 101, 103) ORDER BY id;
--> 1 | 0
--> 4 | 2000
--> 5 | 1970
--> 101 | 2024
--> 103 | 2155
