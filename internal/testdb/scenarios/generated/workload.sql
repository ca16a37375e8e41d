INSERT INTO generated (id, a, h) SELECT id + 100, a, h FROM generated;
UPDATE generated SET a = 11 WHERE id = 1;
UPDATE generated SET h = 12 WHERE id = 101;
