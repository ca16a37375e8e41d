INSERT INTO minus_zero VALUES (101, -0e0, 0e0), (102, 1, 1);
UPDATE minus_zero SET v = -0e0 WHERE id = 102;
