INSERT INTO pg_condition VALUES (101, 1, repeat('y', 5000)), (102, 9, repeat('y', 5000));
UPDATE pg_condition SET v = 10 WHERE id IN (1, 101);
UPDATE pg_condition SET v = 0 WHERE id IN (5, 102);
UPDATE pg_condition SET v = v + 1 WHERE id = 6;
DELETE FROM pg_condition WHERE id IN (2, 4);
