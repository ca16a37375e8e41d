CREATE TABLE cascades_of_text (code varchar(10) COLLATE utf8mb4_general_ci PRIMARY KEY);
CREATE TABLE cascades_of_text_child (id int PRIMARY KEY, code varchar(10) COLLATE utf8mb4_general_ci, FOREIGN KEY (code) REFERENCES cascades_of_text (code) ON DELETE CASCADE);
