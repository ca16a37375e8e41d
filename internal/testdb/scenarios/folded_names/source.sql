CREATE TABLE folded_names (id int PRIMARY KEY, "Foo" int, foo int);
