INSERT INTO temporary_tables VALUES (101, 101);
CREATE TEMPORARY TABLE temporary_tables (id int, v int);
INSERT INTO temporary_tables VALUES (1, 99), (1, 98);
DROP TABLE temporary_tables;
UPDATE temporary_tables SET v = 2 WHERE id = 1;
