INSERT INTO counters (v) VALUES (7), (8);
SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO';
UPDATE counters SET id = 100 WHERE id = 0;
INSERT INTO counters VALUES (0, 1), (-5, 2);
DELETE FROM counters WHERE id = 8;
