CREATE TABLE pg_replica_identity_full (id int PRIMARY KEY, a text, b text);
ALTER TABLE pg_replica_identity_full REPLICA IDENTITY FULL;
CREATE TABLE pg_replica_identity_toast (id int PRIMARY KEY, a text, b text);
ALTER TABLE pg_replica_identity_toast ALTER COLUMN b SET STORAGE EXTERNAL;
INSERT INTO pg_replica_identity_full VALUES (1, 'x', repeat('ab', 5000)), (2, NULL, NULL);
INSERT INTO pg_replica_identity_toast VALUES (1, 'x', repeat('cd', 5000)), (2, 'y', repeat('ef', 5000)), (3, 'z', NULL);
