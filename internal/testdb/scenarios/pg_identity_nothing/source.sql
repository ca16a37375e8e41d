CREATE TABLE pg_identity_nothing (id int PRIMARY KEY, v int);
ALTER TABLE pg_identity_nothing REPLICA IDENTITY NOTHING;
