-- copy pg_statements(id, k, v)
101	101	tab\there
102	102	\N
103	103	back\\slash
\.
INSERT INTO pg_statements VALUES (1, 1, 'dup') ON CONFLICT (id) DO UPDATE SET v = excluded.v || '!';
INSERT INTO pg_statements VALUES (9, 2, 'no') ON CONFLICT DO NOTHING;
WITH gone AS (DELETE FROM pg_statements WHERE id = 3 RETURNING *) INSERT INTO pg_statements SELECT id + 1000, k, v FROM gone;
UPDATE pg_statements s SET v = o.v FROM pg_statements o WHERE o.id = 1 AND s.id = 2;
-- begin
DO $$ BEGIN
  INSERT INTO pg_statements VALUES (104, 104, 'kept');
  BEGIN
    INSERT INTO pg_statements VALUES (105, 105, 'lost');
    INSERT INTO pg_statements VALUES (1, 1, 'fails');
  EXCEPTION WHEN unique_violation THEN NULL;
  END;
END $$;
-- end
-- fails
INSERT INTO pg_statements VALUES (106, 106, 'x'), (1, 1, 'fails');
