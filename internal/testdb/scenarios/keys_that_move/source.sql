CREATE TABLE keys_that_move (id int PRIMARY KEY, v varchar(20), u int, UNIQUE KEY (u));
INSERT INTO keys_that_move VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3), (4, 'four', 4), (5, 'five', 5);
