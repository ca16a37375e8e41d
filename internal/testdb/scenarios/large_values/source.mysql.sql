CREATE TABLE large_values (id int PRIMARY KEY, t longtext, b longblob);
INSERT INTO large_values VALUES (1, REPEAT('ü', 70000), REPEAT(0x00FF, 100000)), (2, REPEAT('x', 3000000), NULL);
