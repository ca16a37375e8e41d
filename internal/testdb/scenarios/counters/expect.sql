SELECT id, v FROM counters ORDER BY id;
--> -5 | 2
--> 0 | 1
--> 5 | 5
--> 6 | 6
--> 7 | 7
--> 100 | 0
