INSERT INTO statement_format VALUES (101, 1);
SET SESSION binlog_format = 'STATEMENT';
INSERT INTO statement_format VALUES (102, 2);
