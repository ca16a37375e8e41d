SELECT id, v FROM same_images ORDER BY id;
--> 1 | a
--> 2 | b
