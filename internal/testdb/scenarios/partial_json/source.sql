CREATE TABLE partial_json (id int PRIMARY KEY, j json);
INSERT INTO partial_json VALUES (1, '{"a": 1, "b": "long enough to be worth a difference, long enough to be worth a difference"}');
