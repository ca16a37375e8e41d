CREATE TABLE renamed_new (id int PRIMARY KEY, v bigint);
INSERT INTO renamed_new VALUES (1, 1);
RENAME TABLE renamed TO renamed_old, renamed_new TO renamed;
