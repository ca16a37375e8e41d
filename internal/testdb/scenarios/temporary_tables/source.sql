CREATE TABLE temporary_tables (id int PRIMARY KEY, v int);
INSERT INTO temporary_tables VALUES (1, 1);
