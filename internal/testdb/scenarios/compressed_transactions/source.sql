CREATE TABLE compressed_transactions (id int PRIMARY KEY, v varchar(200));
INSERT INTO compressed_transactions VALUES (1, 'a'), (2, 'b');
