SELECT id, CONCAT('[', t, ']'), CONCAT('[', v, ']'), n FROM pg_text WHERE id IN (1, 2, 101, 106) ORDER BY id;
--> 1 | [a  ] | [b ] | n
--> 2 | [] | [] | 
--> 101 | [a   ] | [NULL] | n
--> 106 | [x\y] | [%_$1?:x] | NULL
