CREATE TABLE years (id int PRIMARY KEY, y year);
INSERT INTO years VALUES (1, 0), (2, 1901), (3, 2155), (4, '0'), (5, '70'), (6, NULL);
