SELECT id, v, d FROM loaded_rows ORDER BY id;
--> 1 | first | 1.00
--> 101 | a, b | 1.50
--> 102 | it's "q" | NULL
--> 103 |  | 0.00
