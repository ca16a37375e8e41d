SELECT id, a, length(b) FROM pg_replica_identity_full ORDER BY id;
--> 10 | y | 10000
SELECT id, a, length(b) FROM pg_replica_identity_toast ORDER BY id;
--> 2 | later | NULL
--> 3 | z | NULL
--> 11 | changed | 10000
--> 101 | newer | 10000
