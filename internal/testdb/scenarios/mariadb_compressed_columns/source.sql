CREATE TABLE mariadb_compressed_columns (id int PRIMARY KEY, v text COMPRESSED);
INSERT INTO mariadb_compressed_columns VALUES (1, REPEAT('x', 2000));
