INSERT INTO nul_in_text_kept SELECT id + 100, v, t FROM nul_in_text_kept;
UPDATE nul_in_text_kept SET v = CONCAT(v, '\0') WHERE id = 101;
