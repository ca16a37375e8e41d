INSERT INTO pg_indexes_t VALUES (101, 'b', '[]', 2, '[10,20)', NULL);
BEGIN;
UPDATE pg_indexes_t SET r = '[100,200)' WHERE id = 1;
UPDATE pg_indexes_t SET r = '[1,5)' WHERE id = 2;
UPDATE pg_indexes_t SET r = '[5,9)' WHERE id = 1;
COMMIT;
UPDATE pg_indexes_t SET a = 'c', c = 3 WHERE id = 1;
UPDATE pg_indexes_t SET a = 'a', c = 1 WHERE id = 101;
