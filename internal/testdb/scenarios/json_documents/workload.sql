INSERT INTO json_documents SELECT id + 100, j FROM json_documents;
UPDATE json_documents SET j = JSON_SET(j, '$.a', 5, '$.b[0]', 'one') WHERE id = 101;
