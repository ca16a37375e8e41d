UPDATE ci_unique SET email = 'a@X' WHERE id = 1;
BEGIN;
UPDATE ci_unique SET email = 'tmp' WHERE id = 2;
UPDATE ci_unique SET email = 'B@x' WHERE id = 3;
UPDATE ci_unique SET email = 'C@x' WHERE id = 2;
COMMIT;
DELETE FROM ci_unique WHERE id = 1;
INSERT INTO ci_unique VALUES (101, 'A@X');
REPLACE INTO ci_unique VALUES (102, 'B@X');
