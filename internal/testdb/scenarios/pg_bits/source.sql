CREATE TABLE pg_bits (id int PRIMARY KEY, a bit(8), b bit varying(20), c bit(64), d bit(1));
INSERT INTO pg_bits VALUES (1, B'00000101', B'101', repeat('1', 64)::bit(64), B'1'), (2, B'11111111', B'', repeat('0', 64)::bit(64), B'0'), (3, NULL, NULL, NULL, NULL), (4, B'10000000', B'00000000000000000001', 1::bit(64), B'0');
