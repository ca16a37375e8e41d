SELECT id, u, a, b FROM mariadb_uuid ORDER BY id;
--> 123e4567-e89b-12d3-a456-426655440000 | 00000000-0000-0000-0000-000000000000 | 2001:db8::ff00:42:8329 | 192.168.0.1
--> abcdefab-cdef-4abc-8def-abcdefabcdef | 11111111-2222-1333-8444-555555555555 | fe80::1 | 255.255.255.255
--> ffffffff-ffff-4fff-bfff-ffffffffffff | abcdefab-cdef-1abc-8def-abcdefabcd00 | :: | 0.0.0.0
