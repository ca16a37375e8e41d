SELECT id, HEX(b), HEX(v), HEX(bl) FROM binary_padding WHERE id IN (1, 2, 101, 104) ORDER BY id;
--> 1 | 61000000 | 6100 | 00
--> 2 | 00000000 |  | 
--> 101 | 61000000 | 6100 | 00
--> 104 | 01000000 | 0100 | NULL
