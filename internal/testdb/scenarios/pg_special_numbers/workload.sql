INSERT INTO pg_special_numbers SELECT id + 100, n, m, r, d FROM pg_special_numbers;
UPDATE pg_special_numbers SET n = 'NaN', d = 'NaN' WHERE id = 105;
