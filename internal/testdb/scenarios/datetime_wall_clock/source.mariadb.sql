CREATE TABLE datetime_wall_clock (id int PRIMARY KEY, t datetime, f datetime(6), d date);
SET SESSION time_zone = '+05:30', sql_mode = CONCAT(@@sql_mode, ',TIME_ROUND_FRACTIONAL');
INSERT INTO datetime_wall_clock VALUES (1, '2024-03-31 02:30:00', '2024-12-31 23:59:59.9999994', '2024-02-29'), (2, '1000-01-01 00:00:00', '9999-12-31 23:59:59.999999', '1000-01-01'), (3, '2024-12-31 23:59:59.5', '2024-12-31 23:59:59.9999996', '9999-12-31'), (4, NULL, NULL, NULL);
