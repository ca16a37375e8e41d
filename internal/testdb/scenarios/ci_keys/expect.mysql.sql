SELECT CONCAT(k, '|'), v FROM ci_keys ORDER BY v;
--> Ünder| | 3
--> APPLE| | 11
--> pear | | 22
--> ZOO| | 444
