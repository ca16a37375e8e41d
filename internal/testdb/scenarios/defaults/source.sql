CREATE TABLE defaults (id int PRIMARY KEY AUTO_INCREMENT, a varchar(20) DEFAULT 'it''s \\ "x"', b int DEFAULT (1 + 2), c varchar(36) DEFAULT (uuid()), d timestamp NULL DEFAULT CURRENT_TIMESTAMP, e text DEFAULT ('long'), f date DEFAULT (current_date + interval 1 year), g tinyint(1) DEFAULT '1', h decimal(6,2) DEFAULT 1.5, i varchar(5) DEFAULT '', j varchar(5) DEFAULT NULL);
INSERT INTO defaults () VALUES ();
INSERT INTO defaults () VALUES ();
