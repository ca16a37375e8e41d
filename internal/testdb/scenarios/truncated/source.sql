CREATE TABLE truncated (id int PRIMARY KEY, v int);
INSERT INTO truncated VALUES (1, 1), (2, 2), (3, 3);
