SELECT id, e, f FROM enum_labels WHERE id IN (2, 3, 4, 101) ORDER BY id;
--> 2 | it's | NULL
--> 3 | a,b | x
--> 4 |  | y
--> 101 | Ünï | x
