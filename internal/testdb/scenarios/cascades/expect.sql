SELECT id, v FROM cascades_parent ORDER BY id;
--> 3 | 33
--> 4 | 44
--> 22 | 2
SELECT id, parent FROM cascades_child ORDER BY id;
--> 20 | 22
--> 31 | 3
--> 40 | 4
SELECT id, child FROM cascades_grandchild ORDER BY id;
--> 200 | 20
SELECT id, parent FROM cascades_orphan ORDER BY id;
--> 1000 | NULL
--> 2000 | 22
--> 3000 | NULL
--> 4000 | 4
