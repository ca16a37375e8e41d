SELECT id, i, z FROM pg_intervals WHERE id IN (1, 2, 3, 4, 102) ORDER BY id;
--> 1 | 1 mon | 12:00:00+05:30
--> 2 | 30 days | 23:59:59.999999-11
--> 3 | 720:00:00 | 00:00:00+00
--> 4 | -10 mons -3 days +04:05:06.789 | NULL
--> 102 | 1 mon | 23:59:59.999999-11
