CREATE TABLE tinyint_one (id int PRIMARY KEY, flag tinyint(1), b boolean);
INSERT INTO tinyint_one VALUES (1, 1, true), (2, 5, false), (3, -128, NULL), (4, 127, 2);
