CREATE TABLE renamed (id int PRIMARY KEY, v int);
INSERT INTO renamed VALUES (1, 1);
