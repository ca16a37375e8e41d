CREATE TABLE pg_case_matters (k varchar(40) PRIMARY KEY, u varchar(40) UNIQUE, v int);
INSERT INTO pg_case_matters VALUES ('A', 'e', 1), ('a', 'é', 2), ('a ', 'E', 3), ('ß', 'ss', 4), ('ss', 'ß', 5);
