INSERT INTO years SELECT id + 100, y FROM years;
UPDATE years SET y = 2024 WHERE id = 101;
