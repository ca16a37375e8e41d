SELECT id, a, b FROM pg_bits WHERE id IN (1, 2, 103) ORDER BY id;
--> 1 | 00000101 | 101
--> 2 | 11111111 | 
--> 103 | 00000001 | 0101
