INSERT INTO pg_json SELECT id + 100, t, b FROM pg_json;
UPDATE pg_json SET b = jsonb_set(b, '{c,0}', '"x"') WHERE id = 101;
