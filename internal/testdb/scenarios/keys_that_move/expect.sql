SELECT id, v, u FROM keys_that_move ORDER BY id;
--> 1 | two | 1
--> 2 | one | 2
--> 1004 | again | 3
--> 1005 | four | 4
--> 1006 | five | 5
