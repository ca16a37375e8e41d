SELECT COUNT(*), MIN(id), MAX(v) FROM compressed_transactions;
--> 801 | 2 | y900
