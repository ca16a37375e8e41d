SELECT COUNT(*), MAX(id), MIN(id) FROM many_rows;
--> 40001 | 80000 | 2
