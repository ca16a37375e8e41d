CREATE TABLE mariadb_json_text (id int PRIMARY KEY, j json);
INSERT INTO mariadb_json_text VALUES (1, '{"b":  12345678901234567890123, "a":1.0}'), (2, '{"dup": 1, "dup": 2}'), (3, '[ ]'), (4, NULL);
