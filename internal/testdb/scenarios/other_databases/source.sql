CREATE TABLE other_databases (id int PRIMARY KEY, v int);
INSERT INTO other_databases VALUES (1, 1), (2, 2);
SET @home = DATABASE();
CREATE DATABASE IF NOT EXISTS other_databases_elsewhere;
CREATE TABLE IF NOT EXISTS other_databases_elsewhere.other_databases (id int PRIMARY KEY, v int);
