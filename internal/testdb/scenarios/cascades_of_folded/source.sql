CREATE TABLE cascades_of_folded (code varchar(10) COLLATE utf8mb4_general_ci PRIMARY KEY);
CREATE TABLE cascades_of_folded_child (id int PRIMARY KEY, code varchar(10) COLLATE utf8mb4_general_ci, FOREIGN KEY (code) REFERENCES cascades_of_folded (code) ON DELETE CASCADE ON UPDATE CASCADE);
INSERT INTO cascades_of_folded VALUES ('a'), ('Æ');
INSERT INTO cascades_of_folded_child SELECT seq, 'a' FROM seq_1_to_1500;
INSERT INTO cascades_of_folded_child VALUES (2000, 'Æ');
