INSERT INTO pg_arrays SELECT id + 100, i, t, n, d FROM pg_arrays;
UPDATE pg_arrays SET i = i || 9, t = array_append(t, E'\\') WHERE id = 101;
