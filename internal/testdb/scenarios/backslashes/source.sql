CREATE TABLE backslashes (id int PRIMARY KEY, v varchar(60), t text, b blob);
INSERT INTO backslashes VALUES (1, 'a\\b', 'line\r\nline\n\\.\n\\N', 'q''\\"'), (2, '\\N', 'NULL', '\\x00'), (3, '{"a",NULL}', '%_%', '$1 ? :x');
