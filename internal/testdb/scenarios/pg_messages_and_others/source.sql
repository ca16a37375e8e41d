CREATE TABLE pg_messages_and_others (id int PRIMARY KEY, v int);
INSERT INTO pg_messages_and_others VALUES (1, 1);
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.t (a int);
