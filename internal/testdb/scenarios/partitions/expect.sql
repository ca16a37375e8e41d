SELECT id, region, v FROM partitions ORDER BY id;
--> 1 | 15 | 1
--> 2 | 25 | 22
--> 3 | 5 | 3
--> 102 | 5 | 102
