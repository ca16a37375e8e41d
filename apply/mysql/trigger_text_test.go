package mysql

import "testing"

func TestTheBodyOfATriggerIsWhatStandsBehindItsHeader(t *testing.T) {
	for create, want := range map[string]string{
		"CREATE DEFINER=`root`@`localhost` TRIGGER `t` BEFORE INSERT ON `a` FOR EACH ROW SET NEW.r = 1":                                "SET NEW.r = 1",
		"create definer='x'@'%' trigger `for each row` after update on `b``c` for\teach\nrow\nBEGIN\n SET @a = 'FOR EACH ROW';\nEND":   "BEGIN\n SET @a = 'FOR EACH ROW';\nEND",
		"CREATE TRIGGER t /* for each row */ BEFORE INSERT -- for each row\n ON a FOR EACH ROW FOLLOWS `other` SET NEW.r = 'x\\\\n'''": "SET NEW.r = 'x\\\\n'''",
		"CREATE DEFINER=\"a\\\"b\"@localhost TRIGGER t BEFORE DELETE ON a FOR EACH ROW PRECEDES other BEGIN END":                       "BEGIN END",
		"CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW followed: BEGIN END":                                                         "followed: BEGIN END",
	} {
		if got, err := triggerBody(create, ""); err != nil || got != want {
			t.Errorf("%s\ngives %q, %v, want %q", create, got, err, want)
		}
	}
	for create, mode := range map[string]string{
		"CREATE TRIGGER \"a\\\" BEFORE INSERT ON a FOR EACH ROW SET NEW.r = 1":                 "ANSI_QUOTES",
		"CREATE DEFINER='a\\'@'%' TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.r = 1":     "STRICT_TRANS_TABLES,NO_BACKSLASH_ESCAPES",
		"CREATE TRIGGER t --\tfor each row 'x\n BEFORE INSERT ON a FOR EACH ROW SET NEW.r = 1": "",
		"CREATE DEFINER='a\\''@'%' TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.r = 1":    "ANSI_QUOTES",
	} {
		if got, err := triggerBody(create, mode); err != nil || got != "SET NEW.r = 1" {
			t.Errorf("%s\nunder %s gives %q, %v", create, mode, got, err)
		}
	}
	for _, create := range []string{"", "CREATE TRIGGER t", "CREATE TRIGGER `t", "CREATE TRIGGER t BEFORE INSERT ON a FOR 1", "CREATE /* t"} {
		if got, err := triggerBody(create, ""); err == nil {
			t.Errorf("%s gives %q", create, got)
		}
	}
}
