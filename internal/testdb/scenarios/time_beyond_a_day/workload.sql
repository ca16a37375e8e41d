INSERT INTO time_beyond_a_day SELECT id + 100, t, f FROM time_beyond_a_day;
UPDATE time_beyond_a_day SET t = '-00:30:00', f = '-00:00:30.25' WHERE id = 101;
