SELECT id, length(t), length(b) FROM large_values WHERE id IN (1, 2, 102) ORDER BY id;
--> 1 | 5 | 200000
--> 2 | 3000000 | NULL
--> 102 | 3000000 | NULL
