INSERT INTO pg_integers SELECT id + 100, s, i, b, f, o FROM pg_integers WHERE id > 0;
UPDATE pg_integers SET f = NOT f, i = 0 WHERE id IN (1, 102);
