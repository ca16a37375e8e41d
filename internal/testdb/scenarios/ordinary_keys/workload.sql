UPDATE ordinary_keys_date SET v = 10 WHERE n = 2;
UPDATE ordinary_keys_date SET d = '2000-01-01' WHERE v = 3;
DELETE FROM ordinary_keys_date WHERE v = 1;
UPDATE ordinary_keys_dec SET v = 11 WHERE k = 1.1;
UPDATE ordinary_keys_dec SET k = 1.2 WHERE k = 1.1;
DELETE FROM ordinary_keys_dec WHERE k = 0;
UPDATE ordinary_keys_ts SET v = 22 WHERE v = 2;
DELETE FROM ordinary_keys_ts WHERE n = -1;
INSERT INTO ordinary_keys_ts VALUES ('2024-01-01 00:00:00.001', 1, 101);
