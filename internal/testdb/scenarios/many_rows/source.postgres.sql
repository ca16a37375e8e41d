CREATE TABLE many_rows (id int PRIMARY KEY, v int, t varchar(40));
INSERT INTO many_rows SELECT i * 2, i, 'row ' || i FROM generate_series(1, 45000) AS i;
