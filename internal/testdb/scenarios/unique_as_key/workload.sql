UPDATE unique_as_key SET v = 9 WHERE a = 1 AND b = 'y';
UPDATE unique_as_key SET b = 'z' WHERE a = 2;
INSERT INTO unique_as_key VALUES (101, 'x', 4);
