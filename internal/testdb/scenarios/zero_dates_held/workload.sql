SET SESSION sql_mode = '';
INSERT INTO zero_dates_held VALUES (101, '0000-00-00');
