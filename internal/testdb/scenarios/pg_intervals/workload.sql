SET intervalstyle = 'iso_8601';
INSERT INTO pg_intervals SELECT id + 100, i, z FROM pg_intervals;
UPDATE pg_intervals SET i = '1 mon' WHERE id = 102;
