package pooler

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var there = Address{Host: "db2", Port: 6000, Database: "new shop"}

func TestOnlyTheAddressOfTheOneEntryChanges(t *testing.T) {
	const before = `# shop = host=commented
[databases]
;shop = host=commented
shop2 = host=db1 port=5432 dbname=shop
%include /etc/pgbouncer/more.ini
` + "\"shop\"\t=  user=app  password='it''s dbname=x' port = 5432 host='db 1' pool_size=5 connect_query='SELECT ''host=1'''  \r\n" + `
* = host=db1

[pgbouncer]
shop = host=db1
`
	after := strings.Replace(strings.Replace(before, "port = 5432 host='db 1'", "port = 6000 host=db2", 1), "'SELECT ''host=1'''  ", "'SELECT ''host=1''' dbname='new shop'  ", 1)
	got, err := rewriteEntry(before, "shop", there)
	if err != nil || got != after {
		t.Errorf("%v\n%s\nwant\n%s", err, got, after)
	}
	if again, err := rewriteEntry(got, "shop", there); err != nil || again != got {
		t.Errorf("again: %v\n%s", err, again)
	}
	if got, err := rewriteEntry("[databases]\nshop =\n", "shop", Address{"::1", 1, "a"}); err != nil || got != "[databases]\nshop =host=::1 port=1 dbname=a\n" {
		t.Errorf("%v %q", err, got)
	}
}

func TestAnEntryOfUnknownShapeIsRefusedAndTheFileStays(t *testing.T) {
	for text, want := range map[string]string{
		"shop = host=db1\n":                                         `no entry "shop"`,
		"[databases]\n%include x.ini\n":                             "name the one that has it",
		"[databases]\nshop = host=a\nshop = host=b\n":               "twice",
		"[databases]\nshop = host=a host=b\n":                       "sets host twice",
		"[databases]\nshop = host=a password='secret\n":             "not of the form",
		"[databases]\nshop = host=a password='secret'x\n":           "not of the form",
		"[databases]\nshop = postgres://u:secret@db1/shop\n":        "not of the form",
		"[databases]\nwhat is this secret\nshop = host=a port=1\n":  "line 2",
		"[databases]\nshop = host = a password=se'cret port=1234\n": "not of the form",
	} {
		path := filepath.Join(t.TempDir(), "p.ini")
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		err := rewriteFile(path, "shop", there)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "cret") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		files, globErr := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
		if left, err := os.ReadFile(path); string(left) != text || err != nil || globErr != nil || len(files) != 1 {
			t.Errorf("%q became %q, %v, %v", text, left, err, files)
		}
	}
}

func TestALinkStaysALinkAndWhatADeadProcessLeftIsReplaced(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real.ini"), filepath.Join(dir, "link.ini")
	for path, text := range map[string]string{real: "[databases]\nshop = host=db1", filepath.Join(dir, ".real.ini.crossfade"): "half"} {
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("real.ini", link); err != nil {
		t.Fatal(err)
	}
	if err := rewriteFile(link, "shop", there); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(real)
	if err != nil || string(text) != "[databases]\nshop = host=db2 port=6000 dbname='new shop'" {
		t.Errorf("%q, %v", text, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link: %v, %v", info, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("left: %v, %v", entries, err)
	}
}
