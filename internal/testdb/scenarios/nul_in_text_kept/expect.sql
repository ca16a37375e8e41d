SELECT id, HEX(v), HEX(t) FROM nul_in_text_kept ORDER BY id;
--> 1 | 610062 | 00
--> 2 | 0000 | 7800
--> 101 | 61006200 | 00
--> 102 | 0000 | 7800
