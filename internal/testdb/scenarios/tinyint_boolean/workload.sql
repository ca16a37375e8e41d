INSERT INTO tinyint_boolean VALUES (101, 2);
