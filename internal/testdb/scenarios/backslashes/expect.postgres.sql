SELECT id, v, replace(replace(t, E'\n', '<n>'), E'\r', '<r>'), b FROM backslashes WHERE id IN (1, 2, 101, 201) ORDER BY id;
--> 1 | a\b | line<r><n>line<n>\.<n>\N | \x71275c22
--> 2 | \N | NULL | \x5c783030
--> 101 | \' | line<r><n>line<n>\.<n>\N | \x71275c22
--> 201 | a\ | b\n | \x635c5c
