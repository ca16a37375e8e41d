INSERT INTO charsets SELECT id + 100, l1, u3, u4, sj, cp, u2, asc1 FROM charsets;
UPDATE charsets SET l1 = 'œ™', sj = 'ｱ', u4 = '🏳️‍🌈' WHERE id = 102;
