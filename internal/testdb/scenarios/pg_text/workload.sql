INSERT INTO pg_text SELECT id + 100, t, v, c, n FROM pg_text;
UPDATE pg_text SET t = t || ' ', v = 'NULL' WHERE id = 101;
SET standard_conforming_strings = off;
UPDATE pg_text SET t = 'x\\y' WHERE id = 106;
