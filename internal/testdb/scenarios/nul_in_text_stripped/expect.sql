SELECT id, v, t FROM nul_in_text_stripped ORDER BY id;
--> 1 | ab | x?
--> 2 | plain | plain
--> 101 | ab | x?
--> 102 | z | plain
