CREATE TABLE pg_intervals (id int PRIMARY KEY, i interval, z timetz);
INSERT INTO pg_intervals VALUES (1, '1 mon', '12:00:00+05:30'), (2, '30 days', '23:59:59.999999-11'), (3, '720:00:00', '00:00:00+00'), (4, '-1 year 2 mons -3 days 04:05:06.789', NULL), (5, NULL, NULL), (6, '0', '24:00:00+00'), (7, '178000000 years', NULL);
