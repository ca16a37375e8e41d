INSERT INTO backslashes SELECT id + 100, v, t, b FROM backslashes;
SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES';
INSERT INTO backslashes VALUES (201, 'a\', 'b\n', 'c\\');
UPDATE backslashes SET v = '\''' WHERE id = 101;
