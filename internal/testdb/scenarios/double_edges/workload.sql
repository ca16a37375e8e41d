INSERT INTO double_edges SELECT id + 100, v FROM double_edges;
UPDATE double_edges SET v = 0.1 + 0.2e0 WHERE id = 101;
