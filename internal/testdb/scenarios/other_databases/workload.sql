SET @home = DATABASE();
USE other_databases_elsewhere;
DELETE FROM other_databases;
INSERT INTO other_databases VALUES (1, 77);
SET @s = CONCAT('UPDATE `', @home, '`.other_databases SET v = 11 WHERE id = 1');
PREPARE s FROM @s;
EXECUTE s;
