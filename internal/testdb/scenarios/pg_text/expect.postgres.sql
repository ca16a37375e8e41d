SELECT id, '[' || t || ']', '[' || v || ']', length(c), n FROM pg_text WHERE id IN (1, 2, 101, 106) ORDER BY id;
--> 1 | [a  ] | [b ] | 1 | n
--> 2 | [] | [] | 0 | 
--> 101 | [a   ] | [NULL] | 1 | n
--> 106 | [x\y] | [%_$1?:x] | 4 | NULL
