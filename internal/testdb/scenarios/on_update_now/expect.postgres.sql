SELECT id, v, changed > '2004-11-09'::timestamp AS later, seen FROM on_update_now WHERE id = 1;
--> 1 | 10 | t | 2004-11-09 11:33:20+00
SELECT id, v, seen < '2002-01-01'::timestamptz FROM on_update_now WHERE id IN (2, 3) ORDER BY id;
--> 2 | 2 | t
--> 3 | 30 | t
