CREATE TABLE set_members (id int PRIMARY KEY, s set('x','y','z','it''s'));
INSERT INTO set_members VALUES (1, 'z,x'), (2, ''), (3, 'y'), (4, NULL), (5, 'it''s,y,x,z');
