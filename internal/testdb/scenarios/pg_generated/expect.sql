SELECT id, a, g FROM pg_generated WHERE id IN (1, 2, 5, 101) ORDER BY id;
--> 1 | 100 | 200
--> 2 | 2 | 4
--> 5 | 20 | 40
--> 101 | 5 | 10
