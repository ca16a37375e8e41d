INSERT INTO defaults () VALUES (), (), ();
UPDATE defaults SET c = DEFAULT WHERE id = 1;
