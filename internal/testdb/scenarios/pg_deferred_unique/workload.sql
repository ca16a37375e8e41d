BEGIN;
UPDATE pg_deferred_unique SET u = 2 WHERE id = 1;
UPDATE pg_deferred_unique SET u = 1 WHERE id = 2;
COMMIT;
UPDATE pg_deferred_unique SET u = u + 1;
INSERT INTO pg_deferred_unique VALUES (101, 1);
