CREATE TABLE pg_condition (id int PRIMARY KEY, v int NOT NULL, big text);
ALTER TABLE pg_condition REPLICA IDENTITY FULL;
ALTER TABLE pg_condition ALTER COLUMN big SET STORAGE EXTERNAL;
INSERT INTO pg_condition SELECT i, i, repeat('x', 5000) FROM generate_series(1, 6) AS i;
