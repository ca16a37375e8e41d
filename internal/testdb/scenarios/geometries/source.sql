CREATE TABLE geometries (id int PRIMARY KEY, p point, g geometry, l linestring);
INSERT INTO geometries VALUES (1, ST_GeomFromText('POINT(1 2)'), ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))'), ST_GeomFromText('LINESTRING(0 0,1 1)')), (2, NULL, ST_GeomFromText('POINT(3 4)', 4326), NULL);
