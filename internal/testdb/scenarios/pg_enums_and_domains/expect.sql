SELECT id, m, p FROM pg_enums_and_domains WHERE id IN (1, 2, 4, 101) ORDER BY id;
--> 1 | sad | 1
--> 2 | it's great | 2147483647
--> 4 | a,b | 5
--> 101 | ok | 1
