CREATE TABLE statement_format (id int PRIMARY KEY, v int);
INSERT INTO statement_format VALUES (1, 1);
