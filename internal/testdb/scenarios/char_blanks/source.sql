CREATE TABLE char_blanks (id int PRIMARY KEY, c char(6), v varchar(6), t text);
INSERT INTO char_blanks VALUES (1, 'ab   ', 'ab   ', 'ab   '), (2, '', '', ''), (3, '  x', '  x', ' '), (4, NULL, NULL, NULL), (5, '   ', '   ', '\t\n');
