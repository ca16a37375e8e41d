CREATE TABLE pg_infinity_held (id int PRIMARY KEY, t timestamptz);
INSERT INTO pg_infinity_held VALUES (1, '2024-01-01 00:00:00+00');
