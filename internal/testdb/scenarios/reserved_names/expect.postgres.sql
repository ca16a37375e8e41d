SELECT id, "user", "order", "select", "with space", mixed FROM reserved_names_order ORDER BY id;
--> 1 | 1 | a | 1 | 1 | 1
--> 101 | 101 | a | 9 | 7 | 8
