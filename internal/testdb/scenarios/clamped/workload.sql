SET SESSION sql_mode = '';
INSERT INTO clamped VALUES (101, -300, 99999999999, 'xyzabc', -123456, 5 % 0);
UPDATE clamped SET t = 999 WHERE id = 101;
