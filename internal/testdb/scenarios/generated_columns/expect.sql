SELECT id, a, s, w, h FROM generated_columns WHERE id IN (1, 2, 3, 101) ORDER BY id;
--> 1 | 11 | 22 | 12 | 3
--> 2 | NULL | NULL | NULL | 3
--> 3 | 5 | 10 | 6 | 9
--> 101 | 10 | 20 | 11 | 12
