INSERT INTO pg_nan_held VALUES (101, 'NaN');
