CREATE TABLE same_images (id int PRIMARY KEY, v varchar(20));
INSERT INTO same_images VALUES (1, 'a'), (2, 'b');
