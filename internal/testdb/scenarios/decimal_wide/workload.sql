INSERT INTO decimal_wide SELECT id + 100, w, n, f, u FROM decimal_wide;
UPDATE decimal_wide SET w = w + 0.000000000000000000000000000001 WHERE id = 102;
