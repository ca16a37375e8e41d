INSERT INTO large_values SELECT id + 100, t, b FROM large_values;
UPDATE large_values SET t = 'small' WHERE id = 1;
UPDATE large_values SET b = NULL WHERE id = 101;
