INSERT INTO pg_truncate_many_b VALUES (101, 3);
BEGIN;
INSERT INTO pg_truncate_many_c VALUES (101);
TRUNCATE pg_truncate_many_a RESTART IDENTITY CASCADE;
INSERT INTO pg_truncate_many_a (v) VALUES (7);
COMMIT;
INSERT INTO pg_truncate_many_b VALUES (5, 1);
