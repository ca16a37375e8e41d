CREATE TABLE zero_dates_held (id int PRIMARY KEY, d date);
INSERT INTO zero_dates_held VALUES (1, '2024-01-01');
