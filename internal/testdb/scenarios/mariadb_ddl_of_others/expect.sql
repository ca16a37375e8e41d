SELECT id, v FROM mariadb_ddl_of_others ORDER BY id;
--> 1 | 7
