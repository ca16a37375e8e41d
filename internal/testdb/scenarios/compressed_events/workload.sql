INSERT INTO compressed_events VALUES (101, REPEAT('x', 400)), (102, REPEAT('y', 400));
UPDATE compressed_events SET v = REPEAT('z', 300) WHERE id IN (1, 101);
DELETE FROM compressed_events WHERE id = 2;
