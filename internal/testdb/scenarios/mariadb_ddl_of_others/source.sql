CREATE TABLE mariadb_ddl_of_others (id int PRIMARY KEY, v int);
INSERT INTO mariadb_ddl_of_others VALUES (1, 1);
