INSERT INTO pg_far_moments SELECT id + 100, d, ts, tz FROM pg_far_moments;
UPDATE pg_far_moments SET d = '4713-01-01 BC' WHERE id = 105;
