SELECT a, b, v FROM unique_as_key ORDER BY a, b;
--> 1 | x | 1
--> 1 | y | 9
--> 2 | z | 3
--> 101 | x | 4
