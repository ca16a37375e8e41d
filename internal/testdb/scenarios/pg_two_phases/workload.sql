BEGIN;
INSERT INTO pg_two_phases VALUES (101, 101);
PREPARE TRANSACTION 'pg_two_phases_1';
BEGIN;
INSERT INTO pg_two_phases VALUES (102, 102);
PREPARE TRANSACTION 'pg_two_phases_2';
ROLLBACK PREPARED 'pg_two_phases_1';
INSERT INTO pg_two_phases VALUES (103, 103);
COMMIT PREPARED 'pg_two_phases_2';
