INSERT INTO pg_enums_and_domains SELECT id + 100, m, p FROM pg_enums_and_domains;
UPDATE pg_enums_and_domains SET m = 'ok' WHERE id = 101;
