SELECT id, t, b FROM pg_json WHERE id IN (1, 2, 101) ORDER BY id;
--> 1 | {"b":  1, "a":1.0, "b": 2} | {"a": 1.5, "b": 1, "c": [null, true, "é\n\\\""]}
--> 2 | "\u0041" | []
--> 101 | {"b":  1, "a":1.0, "b": 2} | {"a": 1.5, "b": 1, "c": ["x", true, "é\n\\\""]}
