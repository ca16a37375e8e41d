CREATE TABLE pg_deferred_unique (id int PRIMARY KEY, u int, CONSTRAINT pg_deferred_unique_u UNIQUE (u) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO pg_deferred_unique VALUES (1, 1), (2, 2), (3, 3);
