SELECT * FROM clamped ORDER BY id;
--> 1 | 127 | 0 | abc | 999.9 | NULL
--> 101 | 127 | 4294967295 | xyz | -999.9 | NULL
