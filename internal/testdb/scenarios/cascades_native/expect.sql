SELECT id, v FROM cascades_native ORDER BY id;
--> 2 | 222
--> 3 | 333
--> 10 | 100
SELECT parent, n, v FROM cascades_native_line ORDER BY parent, n;
--> 2 | 9 | 29
--> 3 | 1 | 31
--> 3 | 5 | 35
--> 10 | 7 | 107
SELECT count(*) FROM cascades_native_part;
--> 1
SELECT name FROM cascades_native_note WHERE part IS NULL ORDER BY name;
--> most
--> none
--> one
--> three
--> two
SELECT id, up FROM cascades_native_tree ORDER BY id;
--> 5 | NULL
--> 6 | 5
SELECT id, b FROM cascades_native_a ORDER BY id;
--> 3 | NULL
SELECT count(*) FROM cascades_native_b;
--> 0
