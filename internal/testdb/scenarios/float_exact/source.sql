CREATE TABLE float_exact (id int PRIMARY KEY, v float, d float NOT NULL DEFAULT 0);
INSERT INTO float_exact (id, v) VALUES (1, 123456.789), (2, 16777217), (3, 1.17549435e-38), (4, -3.4028234e38), (5, 0.1), (6, 0), (7, NULL), (8, 1e-45);
