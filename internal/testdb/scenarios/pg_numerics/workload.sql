INSERT INTO pg_numerics SELECT id - 100, a, b, c FROM pg_numerics;
UPDATE pg_numerics SET a = 99999999.99 WHERE id = 3;
UPDATE pg_numerics SET id = 4 WHERE id = 1;
