CREATE TABLE loaded_rows (id int PRIMARY KEY, v varchar(20), d decimal(4,2));
INSERT INTO loaded_rows VALUES (1, 'first', 1);
