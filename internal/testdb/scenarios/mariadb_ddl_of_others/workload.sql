CREATE OR REPLACE VIEW mariadb_ddl_of_others_v AS SELECT id FROM mariadb_ddl_of_others;
DROP VIEW mariadb_ddl_of_others_v;
CREATE OR REPLACE ROLE mariadb_ddl_of_others_r;
DROP ROLE mariadb_ddl_of_others_r;
ANALYZE TABLE mariadb_ddl_of_others PERSISTENT FOR ALL;
UPDATE mariadb_ddl_of_others SET v = 7 WHERE id = 1;
INSERT INTO mariadb_ddl_of_others VALUES (101, 101) RETURNING id;
DELETE FROM mariadb_ddl_of_others WHERE id = 101 RETURNING id;
