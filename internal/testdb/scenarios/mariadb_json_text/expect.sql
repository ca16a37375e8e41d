SELECT id, j FROM mariadb_json_text WHERE id IN (1, 2, 103) ORDER BY id;
--> 1 | {"b":  12345678901234567890123, "a":1.0}
--> 2 | {"dup": 1, "dup": 2}
--> 103 | {"x" :1}
