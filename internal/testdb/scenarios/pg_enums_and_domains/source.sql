CREATE TYPE pg_enums_and_domains_mood AS ENUM ('sad', 'ok', 'it''s great', 'a,b');
CREATE DOMAIN pg_enums_and_domains_positive AS int CHECK (VALUE > 0);
CREATE TABLE pg_enums_and_domains (id int PRIMARY KEY, m pg_enums_and_domains_mood, p pg_enums_and_domains_positive);
INSERT INTO pg_enums_and_domains VALUES (1, 'sad', 1), (2, 'it''s great', 2147483647), (3, NULL, NULL), (4, 'a,b', 5);
