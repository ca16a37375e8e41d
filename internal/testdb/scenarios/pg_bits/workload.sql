INSERT INTO pg_bits SELECT id + 100, a, b, c, d FROM pg_bits;
UPDATE pg_bits SET b = B'0101', a = B'00000001' WHERE id = 103;
