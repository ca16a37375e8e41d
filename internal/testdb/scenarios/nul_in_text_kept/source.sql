CREATE TABLE nul_in_text_kept (id int PRIMARY KEY, v varchar(20), t text);
INSERT INTO nul_in_text_kept VALUES (1, 'a\0b', '\0'), (2, '\0\0', 'x\0');
