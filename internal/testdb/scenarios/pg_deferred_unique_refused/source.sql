CREATE TABLE pg_deferred_unique_refused (id int PRIMARY KEY, u int, CONSTRAINT pg_deferred_unique_refused_u UNIQUE (u) DEFERRABLE INITIALLY DEFERRED);
