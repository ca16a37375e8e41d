INSERT INTO unchecked_rows VALUES (101, -6);
