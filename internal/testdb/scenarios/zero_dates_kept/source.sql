CREATE TABLE zero_dates_kept (id int PRIMARY KEY, d date, t datetime(6));
SET SESSION sql_mode = 'ALLOW_INVALID_DATES';
INSERT INTO zero_dates_kept VALUES (1, '0000-00-00', '0000-00-00'), (2, '2024-00-10', '2024-10-00 00:00:00.000001'), (3, '2024-02-31', '9999-12-31 23:59:59.999999'), (4, NULL, NULL);
