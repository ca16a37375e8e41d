CREATE TABLE nul_in_text_stripped (id int PRIMARY KEY, v varchar(20), t text);
INSERT INTO nul_in_text_stripped VALUES (1, 'a\0b', 'x\0'), (2, 'plain', 'plain');
