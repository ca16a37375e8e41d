SELECT k, u, v FROM pg_case_matters ORDER BY v;
--> a | E | 3
--> ß | ss | 4
--> SS | ß | 5
--> A | e | 11
--> Ä | e  | 101
--> ä | É | 102
