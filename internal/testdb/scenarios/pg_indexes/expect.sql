SELECT id, a, c, r FROM pg_indexes_t ORDER BY id;
--> 1 | c | 3 | [5,9)
--> 2 | NULL | 1 | [1,5)
--> 101 | a | 1 | [10,20)
