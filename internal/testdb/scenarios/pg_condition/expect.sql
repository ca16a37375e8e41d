SELECT id, v, char_length(big) FROM pg_condition ORDER BY id;
--> 1 | 10 | 5000
--> 6 | 7 | 5000
--> 101 | 10 | 5000
