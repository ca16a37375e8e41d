CREATE TABLE long_names (id int PRIMARY KEY, ññññññññññññññññññññññññññññññññññññññññ int);
