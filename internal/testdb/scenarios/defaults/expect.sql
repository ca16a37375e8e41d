SELECT id, a, b, e, g, h, i, j FROM defaults WHERE id IN (1, 5) ORDER BY id;
--> 1 | it's \ "x" | 3 | long | 1 | 1.50 |  | NULL
--> 5 | it's \ "x" | 3 | long | 1 | 1.50 |  | NULL
