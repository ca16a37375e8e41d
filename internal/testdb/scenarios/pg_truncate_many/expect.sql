SELECT id, v FROM pg_truncate_many_a ORDER BY id;
--> 1 | 7
SELECT id, a FROM pg_truncate_many_b ORDER BY id;
--> 5 | 1
SELECT id FROM pg_truncate_many_c ORDER BY id;
--> 1
--> 101
