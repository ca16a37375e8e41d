CREATE TABLE statements_of_mysql (id int PRIMARY KEY, k int, v varchar(20), UNIQUE KEY (k));
CREATE TABLE statements_of_mysql_b (id int PRIMARY KEY, a int, v varchar(20));
INSERT INTO statements_of_mysql VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c'), (4, 4, 'd');
INSERT INTO statements_of_mysql_b VALUES (1, 1, 'x'), (2, 2, 'y'), (3, 3, 'z');
