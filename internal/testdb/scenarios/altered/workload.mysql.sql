INSERT INTO altered VALUES (101, 101);
ALTER TABLE altered MODIFY v varchar(20);
INSERT INTO altered VALUES (102, 'x');
