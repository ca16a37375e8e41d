UPDATE binary_keys SET v = v + 10 WHERE k = 0x6100;
DELETE FROM binary_keys WHERE k = '';
UPDATE binary_keys SET k = 0x0000 WHERE k = 0x00;
INSERT INTO binary_keys VALUES (0x61, 0x6120, 101);
