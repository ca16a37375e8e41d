ALTER TABLE enum_reordered MODIFY e enum('c','b','a');
INSERT INTO enum_reordered VALUES (101, 'c');
