SELECT id, v FROM pg_messages_and_others ORDER BY id;
--> 1 | 2
--> 101 | 101
