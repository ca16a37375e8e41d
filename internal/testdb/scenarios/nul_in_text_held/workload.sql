INSERT INTO nul_in_text_held VALUES (101, 'a\0b');
