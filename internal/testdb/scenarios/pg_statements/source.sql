CREATE TABLE pg_statements (id int PRIMARY KEY, k int UNIQUE, v text);
INSERT INTO pg_statements VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c');
