SELECT id, v FROM truncated ORDER BY id;
--> 2 | 23
--> 102 | 102
