INSERT INTO nul_in_text_stripped SELECT id + 100, v, t FROM nul_in_text_stripped;
UPDATE nul_in_text_stripped SET v = '\0\0z' WHERE id = 102;
