INSERT INTO pg_counters (v) VALUES (3);
INSERT INTO pg_counters VALUES (0, 0), (-1, -1);
INSERT INTO pg_counters_big (v) VALUES (3);
DELETE FROM pg_counters WHERE id = 2;
