SET SESSION binlog_transaction_compression = ON;
BEGIN;
INSERT INTO compressed_transactions WITH RECURSIVE n (i) AS (SELECT 101 UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT i, REPEAT('x', 200) FROM n;
UPDATE compressed_transactions SET v = CONCAT('y', id) WHERE id > 800;
DELETE FROM compressed_transactions WHERE id = 1;
COMMIT;
