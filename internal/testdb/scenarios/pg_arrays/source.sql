CREATE TABLE pg_arrays (id int PRIMARY KEY, i int[], t text[], n numeric[], d timestamptz[]);
INSERT INTO pg_arrays VALUES (1, '{1,2,NULL}', '{a,"b c","d,e","q\"x",NULL,"NULL",""}', '{1.10,NaN}', '{"2024-01-01 00:00:00+00"}'), (2, '{}', '{}', NULL, NULL), (3, '{{1,2},{3,4}}', '{{a},{b}}', NULL, NULL), (4, '[5:7]={1,2,3}', NULL, '{}', '{infinity}'), (5, NULL, NULL, NULL, NULL);
