SELECT id, a, b, c FROM minimal_images ORDER BY id;
--> 1 | NULL | text | 11
--> 2 | two | now | 2
--> 3 | x | z | 3
--> 41 | moved | y | 4
