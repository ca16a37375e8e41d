SET SESSION sql_mode = 'ALLOW_INVALID_DATES';
INSERT INTO zero_dates_null SELECT id + 100, d, t FROM zero_dates_null;
UPDATE zero_dates_null SET d = '2024-01-00' WHERE id = 3;
UPDATE zero_dates_null SET d = '2024-05-05' WHERE id = 101;
