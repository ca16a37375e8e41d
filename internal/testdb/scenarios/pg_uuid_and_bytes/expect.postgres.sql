SELECT * FROM pg_uuid_and_bytes ORDER BY id;
--> 00000000-0000-0000-0000-000000000000 | \x5c5c30 | 123e4567-e89b-12d3-a456-426655440000
--> 123e4567-e89b-12d3-a456-426655440000 | \x000102ff5c27 | 00000000-0000-0000-0000-000000000000
--> abcdefab-cdef-4abc-8def-abcdefabcdef | \x6100 | abcdefab-cdef-4abc-8def-abcdefabcdef
