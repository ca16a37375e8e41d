INSERT INTO char_blanks SELECT id + 100, c, v, t FROM char_blanks;
SET SESSION sql_mode = CONCAT(@@sql_mode, ',PAD_CHAR_TO_FULL_LENGTH');
INSERT INTO char_blanks VALUES (201, 'q', 'q ', 'q  ');
UPDATE char_blanks SET c = 'zz ', v = 'zz ' WHERE id = 101;
