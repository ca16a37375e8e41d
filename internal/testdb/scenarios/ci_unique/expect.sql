SELECT id, email FROM ci_unique ORDER BY id;
--> 2 | C@x
--> 101 | A@X
--> 102 | B@X
