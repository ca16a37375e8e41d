CREATE TABLE unique_as_key (a int NOT NULL, b varchar(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, v int, UNIQUE KEY (a, b));
INSERT INTO unique_as_key VALUES (1, 'x', 1), (1, 'y', 2), (2, 'x', 3);
