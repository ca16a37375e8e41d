INSERT INTO enum_labels SELECT id + 100, e, f FROM enum_labels;
UPDATE enum_labels SET e = 'Ünï', f = 3 WHERE id = 101;
