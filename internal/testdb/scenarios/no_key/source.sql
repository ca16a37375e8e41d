CREATE TABLE no_key (a int, b int);
INSERT INTO no_key VALUES (1, 1), (1, 1);
