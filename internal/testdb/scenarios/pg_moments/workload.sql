SET timezone = 'Asia/Kolkata';
SET datestyle = 'German, DMY';
INSERT INTO pg_moments SELECT id + 100, d, t, ts, tz, p FROM pg_moments;
UPDATE pg_moments SET tz = '2024-07-01 05:30:00' WHERE id = 101;
