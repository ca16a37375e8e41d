CREATE TABLE generated_columns (id int PRIMARY KEY, a int, s int GENERATED ALWAYS AS (a * 2) STORED, w int GENERATED ALWAYS AS (a + 1) VIRTUAL, h int INVISIBLE DEFAULT 3);
INSERT INTO generated_columns (id, a) VALUES (1, 10), (2, NULL);
INSERT INTO generated_columns (id, a, h) VALUES (3, 5, 9);
