SET SESSION sql_mode = '';
INSERT INTO enum_error_value VALUES (101, 'nothing');
