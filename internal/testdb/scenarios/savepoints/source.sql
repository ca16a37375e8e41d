CREATE TABLE savepoints (id int PRIMARY KEY, v int);
INSERT INTO savepoints VALUES (1, 1), (2, 2);
