CREATE TABLE binary_keys (k varbinary(8), b binary(4), v int, PRIMARY KEY (k, b));
INSERT INTO binary_keys VALUES (0x61, 0x61, 1), (0x6100, 0x61, 2), (0x6120, 0x61, 3), ('', 0x00, 4), (0x00, 0x00, 5);
