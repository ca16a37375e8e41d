CREATE TABLE generated_columns_unlogged (id int PRIMARY KEY, a int, s int GENERATED ALWAYS AS (a * 2) STORED);
