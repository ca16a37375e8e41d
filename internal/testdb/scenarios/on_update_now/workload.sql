SET SESSION timestamp = 1100000000.654321;
SET SESSION time_zone = '+00:00';
UPDATE on_update_now SET v = 10 WHERE id = 1;
UPDATE on_update_now SET v = v WHERE id = 2;
SET SESSION binlog_row_image = 'MINIMAL';
UPDATE on_update_now SET v = 30, changed = changed, seen = seen WHERE id = 3;
