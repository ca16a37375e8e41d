UPDATE cascades_of_folded SET code = 'A' WHERE code = 'a';
UPDATE cascades_of_folded SET code = 'æ' WHERE code = 'Æ';
