INSERT INTO truncated VALUES (101, 101);
UPDATE truncated SET v = 9 WHERE id = 2;
TRUNCATE TABLE truncated;
INSERT INTO truncated VALUES (2, 22), (102, 102);
UPDATE truncated SET v = 23 WHERE id = 2;
