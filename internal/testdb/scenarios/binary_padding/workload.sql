INSERT INTO binary_padding SELECT id + 100, b, v, bl, u FROM binary_padding;
UPDATE binary_padding SET b = 0x0100, v = 0x0100 WHERE id = 104;
