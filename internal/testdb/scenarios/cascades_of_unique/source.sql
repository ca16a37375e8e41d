CREATE TABLE cascades_of_unique (id int PRIMARY KEY, code int UNIQUE);
CREATE TABLE cascades_of_unique_child (id int PRIMARY KEY, code int, FOREIGN KEY (code) REFERENCES cascades_of_unique (code) ON DELETE SET NULL);
