CREATE TABLE mariadb_system_versioned (id int PRIMARY KEY, v int) WITH SYSTEM VERSIONING;
