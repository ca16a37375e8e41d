CREATE SEQUENCE mariadb_sequences_s START WITH 5 CACHE 2;
CREATE TABLE mariadb_sequences (id int PRIMARY KEY DEFAULT (NEXT VALUE FOR mariadb_sequences_s), v int);
INSERT INTO mariadb_sequences (v) VALUES (1), (2);
