CREATE TABLE pg_indexes_t (id int PRIMARY KEY, a text, b jsonb, c int CHECK (c > 0), r int4range, d text COLLATE "C", EXCLUDE USING gist (r WITH &&));
CREATE INDEX ON pg_indexes_t (lower(a)) WHERE c > 1;
CREATE INDEX ON pg_indexes_t USING gin (b);
CREATE UNIQUE INDEX ON pg_indexes_t (a DESC NULLS LAST) INCLUDE (c);
CREATE UNIQUE INDEX ON pg_indexes_t (c) WHERE a IS NOT NULL;
CREATE INDEX ON pg_indexes_t USING brin (id);
INSERT INTO pg_indexes_t VALUES (1, 'a', '{"x": 1}', 1, '[1,5)', 'é'), (2, NULL, NULL, 1, '[5,9)', 'z');
