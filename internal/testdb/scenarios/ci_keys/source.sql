CREATE TABLE ci_keys (k varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, v int);
INSERT INTO ci_keys VALUES ('Apple', 1), ('pear ', 2), ('Ünder', 3), ('zoo', 4);
