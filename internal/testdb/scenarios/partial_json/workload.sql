SET SESSION binlog_row_value_options = 'PARTIAL_JSON';
UPDATE partial_json SET j = JSON_SET(j, '$.a', 2) WHERE id = 1;
