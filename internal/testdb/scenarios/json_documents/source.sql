CREATE TABLE json_documents (id int PRIMARY KEY, j json);
INSERT INTO json_documents VALUES (1, '{"b": [1, 2.5, "x"], "a": null, "n": 12345678901234567}'), (2, '[]'), (3, '"é\\n"'), (4, 'true'), (5, NULL), (6, '18446744073709551615'), (7, '-9223372036854775808'), (8, '1e300'), (9, '{"dup": 1, "dup": 2}'), (10, '0.1'), (11, '{"": {"k\\"ey": "v\\\\"}}');
INSERT INTO json_documents VALUES (20, CAST(1.50 AS JSON)), (21, CAST(CAST('2024-02-29 10:00:00.5' AS datetime(6)) AS JSON)), (22, CAST(0x0102 AS JSON));
