CREATE TABLE minus_zero_lost (id int PRIMARY KEY, v double, f float);
INSERT INTO minus_zero_lost VALUES (1, -0e0, -0e0), (2, 0e0, 0e0);
