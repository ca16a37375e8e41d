SELECT HEX(code), count(*) FROM cascades_of_folded_child GROUP BY HEX(code) ORDER BY 1;
--> 41 | 1500
--> C3A6 | 1
