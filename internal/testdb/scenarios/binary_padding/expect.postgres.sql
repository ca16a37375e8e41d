SELECT id, b, v, bl FROM binary_padding WHERE id IN (1, 2, 101, 104) ORDER BY id;
--> 1 | \x61000000 | \x6100 | \x00
--> 2 | \x00000000 | \x | \x
--> 101 | \x61000000 | \x6100 | \x00
--> 104 | \x01000000 | \x0100 | NULL
