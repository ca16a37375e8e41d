CREATE TABLE xa_transactions (id int PRIMARY KEY, v int);
INSERT INTO xa_transactions VALUES (1, 1);
