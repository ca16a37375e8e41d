BEGIN;
INSERT INTO pg_self_reference VALUES (102, 101);
INSERT INTO pg_self_reference VALUES (101, 102);
COMMIT;
BEGIN;
DELETE FROM pg_self_reference WHERE id = 1;
UPDATE pg_self_reference SET boss = 2 WHERE id = 2;
COMMIT;
