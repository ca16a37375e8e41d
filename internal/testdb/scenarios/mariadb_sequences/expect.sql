SELECT id, v FROM mariadb_sequences ORDER BY id;
--> 5 | 1
--> 6 | 2
--> 7 | 3
--> 8 | 4
--> 9 | 5
--> 101 | 6
--> 200 | 7
