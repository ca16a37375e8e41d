INSERT INTO pg_generated (a) VALUES (10), (20);
INSERT INTO pg_generated (id, a) OVERRIDING SYSTEM VALUE VALUES (101, 5);
UPDATE pg_generated SET a = 100 WHERE id = 1;
