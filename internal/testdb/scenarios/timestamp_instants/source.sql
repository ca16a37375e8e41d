CREATE TABLE timestamp_instants (id int PRIMARY KEY, t timestamp NULL, f timestamp(6) NULL);
SET SESSION time_zone = '+05:30';
INSERT INTO timestamp_instants VALUES (1, '2024-03-31 02:30:00', '2024-03-31 02:30:00.123456'), (2, '1970-01-01 05:30:01', '2038-01-19 08:44:07.499999');
SET SESSION time_zone = '-11:00';
INSERT INTO timestamp_instants VALUES (3, '2024-10-27 01:30:00', '2024-10-27 01:30:00.000001'), (4, NULL, NULL);
