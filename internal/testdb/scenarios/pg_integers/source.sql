CREATE TABLE pg_integers (id bigint PRIMARY KEY, s smallint, i integer, b bigint, f boolean, o oid);
INSERT INTO pg_integers VALUES (1, -32768, -2147483648, -9223372036854775808, true, 0), (2, 32767, 2147483647, 9223372036854775807, false, 4294967295), (3, NULL, NULL, NULL, NULL, NULL), (-9223372036854775808, 0, 0, 0, true, 1);
