INSERT INTO geometries SELECT id + 100, p, g, l FROM geometries;
UPDATE geometries SET p = ST_GeomFromText('POINT(-1.5 2.5)') WHERE id = 102;
