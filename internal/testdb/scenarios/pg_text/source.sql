CREATE TABLE pg_text (id int PRIMARY KEY, t text, v varchar(40), c char(6), n name);
INSERT INTO pg_text VALUES (1, 'a  ', 'b ', 'c', 'n'), (2, '', '', '', ''), (3, E'line\r\nline\n\\.\n\\N\t', E'it''s "q" \\', '  x', NULL), (4, NULL, NULL, NULL, NULL), (5, '😀é𝄞', '🏳️‍🌈', 'Ünï', 'é'), (6, '{"a",NULL}', '%_$1?:x', 'NULL', 'NULL');
