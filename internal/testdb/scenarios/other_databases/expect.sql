SELECT id, v FROM other_databases ORDER BY id;
--> 1 | 11
--> 2 | 2
