SET SESSION time_zone = '+09:00';
INSERT INTO timestamp_instants SELECT id + 100, t, f FROM timestamp_instants;
UPDATE timestamp_instants SET t = '2024-01-01 09:00:00' WHERE id = 101;
