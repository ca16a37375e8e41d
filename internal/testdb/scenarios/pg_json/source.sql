CREATE TABLE pg_json (id int PRIMARY KEY, t json, b jsonb);
INSERT INTO pg_json VALUES (1, '{"b":  1, "a":1.0, "b": 2}', '{"b": 1, "a": 1.5, "c": [null, true, "é\n\\\""]}'), (2, '"\u0041"', '[]'), (3, NULL, NULL), (4, 'null', 'null'), (5, '[ 1 , 2]', '{"n": 12345678901234567}');
