CREATE TABLE pg_special_numbers (id int PRIMARY KEY, n numeric, m numeric(10,2), r real, d double precision);
INSERT INTO pg_special_numbers VALUES (1, 'NaN', 'NaN', 'NaN', 'NaN'), (2, 'Infinity', NULL, 'Infinity', '-Infinity'), (3, '-Infinity', 1.10, '-0', '-0'), (4, 1e1000, 0, 0, 0), (5, 0.00000000000000000000000000000000000000000001, -0.01, 1, 1);
