CREATE TABLE enum_reordered (id int PRIMARY KEY, e enum('a','b'));
INSERT INTO enum_reordered VALUES (1, 'a'), (2, 'b');
