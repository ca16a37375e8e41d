INSERT INTO xa_transactions VALUES (101, 101);
XA START 'xa_transactions_1';
INSERT INTO xa_transactions VALUES (102, 102);
XA END 'xa_transactions_1';
XA PREPARE 'xa_transactions_1';
XA ROLLBACK 'xa_transactions_1';
