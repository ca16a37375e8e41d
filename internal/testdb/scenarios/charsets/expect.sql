SELECT id, l1, u3, u4, sj, cp, u2, asc1 FROM charsets WHERE id IN (1, 102) ORDER BY id;
--> 1 | Ünï€ | Ünï€ | 😀é | テスト | Привет | Ünï | plain
--> 102 | œ™ |  | 🏳️‍🌈 | ｱ |  |  | 
