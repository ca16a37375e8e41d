CREATE TABLE many_rows (id int PRIMARY KEY, v int, t varchar(40));
INSERT INTO many_rows SELECT seq * 2, seq, CONCAT('row ', seq) FROM seq_1_to_45000;
