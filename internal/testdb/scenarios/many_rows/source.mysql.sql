CREATE TABLE many_rows (id int PRIMARY KEY, v int, t varchar(40));
SET SESSION cte_max_recursion_depth = 100000;
INSERT INTO many_rows WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 45000) SELECT i * 2, i, CONCAT('row ', i) FROM n;
