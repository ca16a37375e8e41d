CREATE TABLE pg_nan_held (id int PRIMARY KEY, d double precision);
INSERT INTO pg_nan_held VALUES (1, 1);
