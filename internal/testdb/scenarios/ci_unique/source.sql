CREATE TABLE ci_unique (id int PRIMARY KEY, email varchar(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL, UNIQUE KEY (email));
INSERT INTO ci_unique VALUES (1, 'A@x'), (2, 'b@x'), (3, 'c@x');
