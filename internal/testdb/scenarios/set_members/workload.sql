INSERT INTO set_members SELECT id + 100, s FROM set_members;
UPDATE set_members SET s = 'z,y' WHERE id = 101;
