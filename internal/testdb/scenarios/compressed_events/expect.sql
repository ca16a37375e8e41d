SELECT id, LENGTH(v), SUBSTRING(v, 1, 1) FROM compressed_events ORDER BY id;
--> 1 | 300 | z
--> 101 | 300 | z
--> 102 | 400 | y
