INSERT INTO tinyint_one SELECT id + 100, flag, b FROM tinyint_one;
UPDATE tinyint_one SET flag = 9 WHERE id = 1;
