SELECT id, v FROM pg_counters ORDER BY id;
--> -1 | -1
--> 0 | 0
--> 1 | 1
--> 3 | 3
SELECT id, v FROM pg_counters_big ORDER BY id;
--> 5000000000 | 1
--> 5000000001 | 2
--> 5000000002 | 3
