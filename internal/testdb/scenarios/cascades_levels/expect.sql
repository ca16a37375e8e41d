SELECT id, v FROM cascades_levels ORDER BY id;
--> 2 | 222
--> 3 | 333
--> 10 | 100
SELECT parent, n, v FROM cascades_levels_line ORDER BY parent, n;
--> 2 | 9 | 29
--> 3 | 1 | 31
--> 3 | 5 | 35
--> 10 | 7 | 107
SELECT count(*) FROM cascades_levels_part;
--> 1
SELECT name FROM cascades_levels_note WHERE part IS NULL ORDER BY name;
--> most
--> none
--> one
--> three
--> two
SELECT id, up FROM cascades_levels_tree ORDER BY id;
--> 5 | NULL
--> 6 | 5
SELECT id, b FROM cascades_levels_a ORDER BY id;
--> 3 | NULL
SELECT count(*) FROM cascades_levels_b;
--> 0
