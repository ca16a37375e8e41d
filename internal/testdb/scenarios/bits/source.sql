CREATE TABLE bits (id int PRIMARY KEY, b1 bit(1), b8 bit(8), b10 bit(10), b64 bit(64));
INSERT INTO bits VALUES (1, b'1', b'101', b'101', b'1'), (2, b'0', 0xFF, b'1111111111', 0xFFFFFFFFFFFFFFFF), (3, NULL, NULL, NULL, NULL), (4, b'0', b'0', b'0', 0x8000000000000000);
