CREATE TABLE pg_two_phases (id int PRIMARY KEY, v int);
INSERT INTO pg_two_phases VALUES (1, 1);
