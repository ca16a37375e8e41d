INSERT INTO kinds_of_index VALUES (101, 'ddd', 'more', 2, 2, ST_GeomFromText('POINT(5 6)'));
UPDATE kinds_of_index SET c = 3 WHERE id = 1;
BEGIN;
UPDATE kinds_of_index SET c = 99 WHERE id = 101;
UPDATE kinds_of_index SET c = 2, d = 2 WHERE id = 1;
COMMIT;
