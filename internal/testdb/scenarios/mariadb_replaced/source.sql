CREATE TABLE mariadb_replaced (id int PRIMARY KEY, v int);
INSERT INTO mariadb_replaced VALUES (1, 1);
