CREATE TABLE reserved_names_order (`id` int PRIMARY KEY, `user` int, `order` varchar(10), `select` int, `interval` int, `offset` int, `window` int, `group` int, `with space` int, `dollar$` int, `Mixed` int, KEY `index` (`order`), UNIQUE KEY `unique` (`user`));
INSERT INTO reserved_names_order VALUES (1, 1, 'a', 1, 1, 1, 1, 1, 1, 1, 1);
