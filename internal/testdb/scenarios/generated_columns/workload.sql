INSERT INTO generated_columns (id, a, h) SELECT id + 100, a, h FROM generated_columns;
UPDATE generated_columns SET a = 11 WHERE id = 1;
UPDATE generated_columns SET h = 12 WHERE id = 101;
