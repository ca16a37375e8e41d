CREATE TABLE cascades_parent (id int PRIMARY KEY, v int);
CREATE TABLE cascades_child (id int PRIMARY KEY, parent int, FOREIGN KEY (parent) REFERENCES cascades_parent (id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE cascades_grandchild (id int PRIMARY KEY, child int, FOREIGN KEY (child) REFERENCES cascades_child (id) ON DELETE CASCADE);
CREATE TABLE cascades_orphan (id int PRIMARY KEY, parent int, FOREIGN KEY (parent) REFERENCES cascades_parent (id) ON DELETE SET NULL ON UPDATE CASCADE);
INSERT INTO cascades_parent VALUES (1, 1), (2, 2), (3, 3), (4, 4);
INSERT INTO cascades_child VALUES (10, 1), (20, 2), (21, 2), (30, 3), (40, 4);
INSERT INTO cascades_grandchild VALUES (100, 10), (200, 20), (201, 21), (300, 30);
INSERT INTO cascades_orphan VALUES (1000, 1), (2000, 2), (3000, 3), (4000, 4);
