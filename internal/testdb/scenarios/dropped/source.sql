CREATE TABLE dropped (id int PRIMARY KEY, v int);
INSERT INTO dropped VALUES (1, 1);
