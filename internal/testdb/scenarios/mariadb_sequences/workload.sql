INSERT INTO mariadb_sequences (v) VALUES (3), (4), (5);
SELECT SETVAL(mariadb_sequences_s, 100);
INSERT INTO mariadb_sequences (v) VALUES (6);
ALTER SEQUENCE mariadb_sequences_s RESTART 200;
INSERT INTO mariadb_sequences (v) VALUES (7);
CREATE SEQUENCE mariadb_sequences_other;
DROP SEQUENCE mariadb_sequences_other;
