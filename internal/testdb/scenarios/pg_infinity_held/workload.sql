INSERT INTO pg_infinity_held VALUES (101, 'infinity');
