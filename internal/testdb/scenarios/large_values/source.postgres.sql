CREATE TABLE large_values (id int PRIMARY KEY, t text, b bytea);
INSERT INTO large_values VALUES (1, repeat('ü', 70000), decode(repeat('00FF', 100000), 'hex')), (2, repeat('x', 3000000), NULL);
