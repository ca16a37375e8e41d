CREATE TABLE comments (id int PRIMARY KEY COMMENT 'it''s the "key"', v int COMMENT 'Ünï \\ $$ x') COMMENT 'about; it''s';
INSERT INTO comments VALUES (1, 1);
