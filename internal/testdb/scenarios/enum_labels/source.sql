CREATE TABLE enum_labels (id int PRIMARY KEY, e enum('new','it''s','a,b','','Ünï') NOT NULL, f enum('z','y','x') DEFAULT 'y');
INSERT INTO enum_labels VALUES (1, 'new', 'z'), (2, 'it''s', NULL), (3, 'a,b', 'x'), (4, '', 'y'), (5, 'Ünï', DEFAULT);
