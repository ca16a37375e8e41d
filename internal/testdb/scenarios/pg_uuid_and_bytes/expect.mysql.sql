SELECT id, HEX(b), u FROM pg_uuid_and_bytes ORDER BY id;
--> 00000000-0000-0000-0000-000000000000 | 5C5C30 | 123e4567-e89b-12d3-a456-426655440000
--> 123e4567-e89b-12d3-a456-426655440000 | 000102FF5C27 | 00000000-0000-0000-0000-000000000000
--> abcdefab-cdef-4abc-8def-abcdefabcdef | 6100 | abcdefab-cdef-4abc-8def-abcdefabcdef
