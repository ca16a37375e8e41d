CREATE TABLE altered (id int PRIMARY KEY, v int);
INSERT INTO altered VALUES (1, 1);
