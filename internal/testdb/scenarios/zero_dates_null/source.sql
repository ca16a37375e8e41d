CREATE TABLE zero_dates_null (id int PRIMARY KEY, d date, t datetime(3) NOT NULL);
SET SESSION sql_mode = 'ALLOW_INVALID_DATES';
INSERT INTO zero_dates_null VALUES (1, '0000-00-00', '0000-00-00'), (2, '2024-00-10', '2024-02-31 10:00:00'), (3, '2024-02-29', '2024-01-01');
