INSERT INTO triggers_write VALUES (101, 1);
UPDATE triggers_write SET v = 5 WHERE id = 1;
