SET SESSION time_zone = '-08:00';
INSERT INTO datetime_wall_clock SELECT id + 100, t, f, d FROM datetime_wall_clock;
UPDATE datetime_wall_clock SET t = '2024-07-01 12:00:00' WHERE id = 102;
