SELECT id, CASE WHEN length(n::text) > 100 THEN length(n::text)::text ELSE n::text END, m, r, d FROM pg_special_numbers WHERE id IN (1, 2, 3, 104, 105) ORDER BY id;
--> 1 | NaN | NaN | NaN | NaN
--> 2 | Infinity | NULL | Infinity | -Infinity
--> 3 | -Infinity | 1.10 | -0 | -0
--> 104 | 1001 | 0.00 | 0 | 0
--> 105 | NaN | -0.01 | 1 | NaN
