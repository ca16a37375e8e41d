SELECT id, '[' || c || ']', '[' || v || ']' FROM char_blanks WHERE id IN (1, 3, 101, 201) ORDER BY id;
--> 1 | [ab] | [ab   ]
--> 3 | [  x] | [  x]
--> 101 | [zz] | [zz ]
--> 201 | [q] | [q ]
