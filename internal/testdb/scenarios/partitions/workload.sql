UPDATE partitions SET region = 15 WHERE id = 1;
UPDATE partitions SET region = 25, v = 22 WHERE id = 2;
INSERT INTO partitions VALUES (101, 12, 101), (102, 30, 102);
UPDATE partitions SET region = 5 WHERE id IN (3, 102);
DELETE FROM partitions WHERE id = 101;
