CREATE TABLE tinyint_boolean (id int PRIMARY KEY, flag tinyint(1));
INSERT INTO tinyint_boolean VALUES (1, 1), (2, 0);
