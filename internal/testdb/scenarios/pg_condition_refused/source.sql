CREATE TABLE pg_condition_refused (id int PRIMARY KEY, v int NOT NULL);
