CREATE TABLE time_beyond_a_day (id int PRIMARY KEY, t time, f time(6));
INSERT INTO time_beyond_a_day VALUES (1, '-838:59:59', '-838:59:59.000000'), (2, '838:59:59', '838:59:58.999999'), (3, '-00:00:01', '-00:00:00.000001'), (4, '24:00:00', '23:59:59.999999'), (5, '00:00:00', '-12:30:00.5'), (6, NULL, NULL);
