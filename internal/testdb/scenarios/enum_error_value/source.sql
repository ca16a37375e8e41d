CREATE TABLE enum_error_value (id int PRIMARY KEY, e enum('a','b'));
INSERT INTO enum_error_value VALUES (1, 'a');
