INSERT INTO float_exact (id, v) SELECT id + 100, v FROM float_exact;
INSERT INTO float_exact (id, v) VALUES (201, 0);
UPDATE float_exact SET v = 123456.789 WHERE id = 201;
UPDATE float_exact SET d = v WHERE id = 1;
