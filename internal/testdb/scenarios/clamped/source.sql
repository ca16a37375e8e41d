CREATE TABLE clamped (id int PRIMARY KEY, t tinyint, u int unsigned, c varchar(3), d decimal(4,1), z int);
SET SESSION sql_mode = '';
INSERT INTO clamped VALUES (1, 300, -5, 'abcdef', 123456, 1/0);
