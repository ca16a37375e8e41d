INSERT INTO pg_json_numbers SELECT id + 100, b FROM pg_json_numbers;
