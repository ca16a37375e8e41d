INSERT INTO mariadb_json_text SELECT id + 100, j FROM mariadb_json_text;
UPDATE mariadb_json_text SET j = '{"x" :1}' WHERE id = 103;
