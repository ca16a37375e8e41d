REPLACE INTO statements_of_mysql VALUES (1, 1, 'replaced'), (101, 2, 'took 2'), (3, 4, 'took both');
INSERT INTO statements_of_mysql VALUES (5, 1, 'dup') ON DUPLICATE KEY UPDATE v = 'updated', k = 11;
INSERT INTO statements_of_mysql VALUES (6, 6, 'new') ON DUPLICATE KEY UPDATE v = 'no';
INSERT IGNORE INTO statements_of_mysql VALUES (6, 7, 'ignored'), (7, 7, 'kept');
UPDATE statements_of_mysql a JOIN statements_of_mysql_b b ON b.a = a.id SET a.v = b.v, b.v = 'joined';
DELETE a, b FROM statements_of_mysql a JOIN statements_of_mysql_b b ON b.a = a.id WHERE a.id = 3;
INSERT INTO statements_of_mysql_b SELECT id + 100, id, v FROM statements_of_mysql;
