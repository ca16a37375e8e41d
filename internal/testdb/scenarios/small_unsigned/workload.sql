INSERT INTO small_unsigned SELECT id + 100, t, tu, s, su, m, mu, i, iu, z FROM small_unsigned;
UPDATE small_unsigned SET tu = 254, su = 65534, mu = 16777214, iu = 4294967294 WHERE id = 102;
