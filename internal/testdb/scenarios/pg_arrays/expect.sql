SELECT id, i, t FROM pg_arrays WHERE id IN (1, 3, 4, 101) ORDER BY id;
--> 1 | {1,2,NULL} | {a,"b c","d,e","q\"x",NULL,"NULL",""}
--> 3 | {{1,2},{3,4}} | {{a},{b}}
--> 4 | [5:7]={1,2,3} | NULL
--> 101 | {1,2,NULL,9} | {a,"b c","d,e","q\"x",NULL,"NULL","","\\"}
