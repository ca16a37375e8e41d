CREATE TABLE unchecked_rows_parent (id int PRIMARY KEY);
CREATE TABLE unchecked_rows (id int PRIMARY KEY, v int, CONSTRAINT unchecked_rows_v CHECK (v > 0) NOT ENFORCED);
INSERT INTO unchecked_rows_parent VALUES (1);
INSERT INTO unchecked_rows VALUES (1, -5);
