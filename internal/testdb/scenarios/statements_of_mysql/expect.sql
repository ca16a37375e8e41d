SELECT id, k, v FROM statements_of_mysql ORDER BY id;
--> 1 | 11 | x
--> 6 | 6 | new
--> 7 | 7 | kept
--> 101 | 2 | took 2
SELECT id, a, v FROM statements_of_mysql_b ORDER BY id;
--> 1 | 1 | joined
--> 2 | 2 | y
--> 101 | 1 | x
--> 106 | 6 | new
--> 107 | 7 | kept
--> 201 | 101 | took 2
