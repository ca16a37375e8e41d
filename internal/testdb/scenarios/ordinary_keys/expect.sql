SELECT d, n, v FROM ordinary_keys_date ORDER BY d;
--> 2000-01-01 | 1 | 3
--> 2024-01-01 | 2 | 10
SELECT k, v FROM ordinary_keys_dec ORDER BY k;
--> -0.01 | 2
--> 1.20 | 11
--> 99999999.99 | 3
SELECT v FROM ordinary_keys_ts ORDER BY k;
--> 101
--> 22
--> 1
