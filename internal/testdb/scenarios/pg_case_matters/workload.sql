INSERT INTO pg_case_matters VALUES ('Ä', 'e ', 101), ('ä', 'É', 102);
UPDATE pg_case_matters SET v = 11 WHERE k = 'A';
DELETE FROM pg_case_matters WHERE k = 'a';
UPDATE pg_case_matters SET k = 'a' WHERE k = 'a ';
UPDATE pg_case_matters SET k = 'SS' WHERE k = 'ss';
