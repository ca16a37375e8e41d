SELECT id, v, f FROM minus_zero ORDER BY id;
--> 1 | -0 | -0
--> 2 | 0 | 0
--> 101 | -0 | 0
--> 102 | -0 | 1
