CREATE TABLE cascades_unlogged (id int PRIMARY KEY);
CREATE TABLE cascades_unlogged_child (id int PRIMARY KEY, parent int, FOREIGN KEY (parent) REFERENCES cascades_unlogged (id) ON DELETE CASCADE);
