SET bytea_output = 'escape';
INSERT INTO pg_uuid_and_bytes VALUES ('abcdefab-cdef-4abc-8def-abcdefabcdef', '\x6100', 'abcdefab-cdef-4abc-8def-abcdefabcdef');
UPDATE pg_uuid_and_bytes SET b = '\x5c5c30' WHERE id = '00000000-0000-0000-0000-000000000000';
DELETE FROM pg_uuid_and_bytes WHERE id = 'ffffffff-ffff-4fff-bfff-ffffffffffff';
