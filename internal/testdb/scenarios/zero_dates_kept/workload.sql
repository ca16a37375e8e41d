SET SESSION sql_mode = 'ALLOW_INVALID_DATES';
INSERT INTO zero_dates_kept SELECT id + 100, d, t FROM zero_dates_kept;
UPDATE zero_dates_kept SET d = '0000-00-00' WHERE id = 103;
