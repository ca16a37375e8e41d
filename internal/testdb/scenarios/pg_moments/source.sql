CREATE TABLE pg_moments (id int PRIMARY KEY, d date, t time, ts timestamp, tz timestamptz, p timestamp(3));
SET timezone = 'America/New_York';
INSERT INTO pg_moments VALUES (1, '2024-02-29', '23:59:59.999999', '2024-03-31 02:30:00.123456', '2024-11-03 01:30:00-04', '2024-01-01 00:00:00.1234'), (2, '1000-01-01', '00:00:00', '1000-01-01 00:00:00', '1000-01-02 00:00:00+00', NULL), (3, '9999-12-31', '24:00:00', '9999-12-31 23:59:59.999999', '9999-12-31 12:00:00+00', '9999-12-31 23:59:59.999'), (4, NULL, NULL, NULL, NULL, NULL);
