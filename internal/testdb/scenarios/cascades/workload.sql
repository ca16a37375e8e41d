DELETE FROM cascades_parent WHERE id = 1;
UPDATE cascades_parent SET id = 22 WHERE id = 2;
BEGIN;
DELETE FROM cascades_parent WHERE id = 3;
INSERT INTO cascades_parent VALUES (3, 33);
INSERT INTO cascades_child VALUES (31, 3);
COMMIT;
UPDATE cascades_parent SET v = 44 WHERE id = 4;
DELETE FROM cascades_child WHERE id = 21;
