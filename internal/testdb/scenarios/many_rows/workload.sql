UPDATE many_rows SET v = v + 1 WHERE id <= 20000;
DELETE FROM many_rows WHERE id > 80000;
UPDATE many_rows SET id = id + 1 WHERE id BETWEEN 30000 AND 30100;
INSERT INTO many_rows VALUES (7, 7, 'seven');
