CREATE TABLE pg_self_reference (id int PRIMARY KEY, boss int, FOREIGN KEY (boss) REFERENCES pg_self_reference (id) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO pg_self_reference VALUES (1, 1), (2, 1), (3, 2);
