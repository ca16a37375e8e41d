CREATE TABLE minimal_images (id int PRIMARY KEY, a varchar(20), b text, c int NOT NULL DEFAULT 7, UNIQUE KEY (c, id));
INSERT INTO minimal_images VALUES (1, 'one', 'text', 1), (2, 'two', NULL, 2), (3, NULL, 'x', 3), (4, 'four', 'y', 4);
