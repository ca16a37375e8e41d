CREATE UNLOGGED TABLE pg_unlogged (id int PRIMARY KEY, v int);
