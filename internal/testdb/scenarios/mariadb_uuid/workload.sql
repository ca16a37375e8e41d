INSERT INTO mariadb_uuid VALUES ('abcdefab-cdef-4abc-8def-abcdefabcdef', '11111111-2222-1333-8444-555555555555', 'fe80::1', '255.255.255.255');
UPDATE mariadb_uuid SET u = 'ABCDEFAB-CDEF-1ABC-8DEF-ABCDEFABCD00' WHERE b = '0.0.0.0';
DELETE FROM mariadb_uuid WHERE id = '00112233-4455-1677-8899-aabbccddeeff';
