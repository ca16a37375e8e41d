INSERT INTO pg_ranges_and_addresses SELECT id + 100, r, tr, mr, i, c, m, p, b, x, v, q, l, y FROM pg_ranges_and_addresses;
UPDATE pg_ranges_and_addresses SET r = '(,7]', i = '::1' WHERE id = 101;
