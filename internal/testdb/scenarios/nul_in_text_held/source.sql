CREATE TABLE nul_in_text_held (id int PRIMARY KEY, v varchar(20));
INSERT INTO nul_in_text_held VALUES (1, 'plain');
