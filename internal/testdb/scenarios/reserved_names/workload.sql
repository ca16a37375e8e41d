INSERT INTO reserved_names_order SELECT id + 100, `user` + 100, `order`, `select`, `interval`, `offset`, `window`, `group`, `with space`, `dollar$`, `Mixed` FROM reserved_names_order;
UPDATE reserved_names_order SET `with space` = 7, `Mixed` = 8, `select` = 9 WHERE id = 101;
