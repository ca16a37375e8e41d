SELECT id, d, t FROM zero_dates_null ORDER BY id;
--> 1 | NULL | NULL
--> 2 | NULL | NULL
--> 3 | NULL | 2024-01-01 00:00:00
--> 101 | 2024-05-05 | NULL
--> 102 | NULL | NULL
--> 103 | 2024-02-29 | 2024-01-01 00:00:00
