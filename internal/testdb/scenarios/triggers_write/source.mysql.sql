CREATE TABLE triggers_write (id int PRIMARY KEY, v int);
CREATE TABLE triggers_write_audit (id int AUTO_INCREMENT PRIMARY KEY, what varchar(20), ref int);
-- begin
CREATE TRIGGER triggers_write_i AFTER INSERT ON triggers_write FOR EACH ROW BEGIN
  INSERT INTO triggers_write_audit (what, ref) VALUES ('insert', NEW.id);
END;
-- end
-- begin
CREATE TRIGGER triggers_write_u BEFORE UPDATE ON triggers_write FOR EACH ROW BEGIN
  SET NEW.v = NEW.v * 10;
  INSERT INTO triggers_write_audit (what, ref) VALUES ('update', NEW.id);
END;
-- end
INSERT INTO triggers_write VALUES (1, 1), (2, 2);
