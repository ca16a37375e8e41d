CREATE TABLE compressed_events (id int PRIMARY KEY, v varchar(400));
INSERT INTO compressed_events VALUES (1, 'a'), (2, 'b');
