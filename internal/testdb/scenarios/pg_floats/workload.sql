INSERT INTO pg_floats SELECT id + 100, r, d FROM pg_floats;
UPDATE pg_floats SET d = 0.1::float8 + 0.2::float8 WHERE id = 101;
