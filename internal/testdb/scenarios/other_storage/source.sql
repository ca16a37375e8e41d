CREATE TABLE other_storage (id int PRIMARY KEY, v int) ENGINE=MyISAM;
