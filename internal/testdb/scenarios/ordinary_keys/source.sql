CREATE TABLE ordinary_keys_date (d date, n int, v int, PRIMARY KEY (d, n));
CREATE TABLE ordinary_keys_dec (k decimal(10,2) PRIMARY KEY, v int);
CREATE TABLE ordinary_keys_ts (k timestamp(3), n smallint, v int, PRIMARY KEY (k, n));
INSERT INTO ordinary_keys_date VALUES ('2024-01-01', 1, 1), ('2024-01-01', 2, 2), ('1999-12-31', 1, 3);
INSERT INTO ordinary_keys_dec VALUES (1.10, 1), (-0.01, 2), (99999999.99, 3), (0, 4);
INSERT INTO ordinary_keys_ts VALUES ('2024-01-01 00:00:00.123', 1, 1), ('2024-01-01 00:00:00.120', 1, 2), ('2024-01-01 00:00:00', -1, 3);
