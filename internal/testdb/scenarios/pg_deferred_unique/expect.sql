SELECT id, u FROM pg_deferred_unique ORDER BY id;
--> 1 | 3
--> 2 | 2
--> 3 | 4
--> 101 | 1
