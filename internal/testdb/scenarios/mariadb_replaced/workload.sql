INSERT INTO mariadb_replaced VALUES (101, 1);
CREATE OR REPLACE TABLE mariadb_replaced (id int PRIMARY KEY, v int);
INSERT INTO mariadb_replaced VALUES (1, 2);
