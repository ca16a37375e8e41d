package arch

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// A document that names the test by which something is held names one that is there.
func TestTheDocumentsNameTestsThatExist(t *testing.T) {
	tree := os.DirFS("../..")
	named, there := map[string]string{}, map[string]bool{}
	name, definition := regexp.MustCompile(`\bTest[A-Z]\w+`), regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		document := strings.HasPrefix(path, "docs/") && strings.HasSuffix(path, ".md")
		if !document && !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(tree, path)
		if err != nil {
			return err
		}
		if document {
			for _, n := range name.FindAllString(string(text), -1) {
				named[n] = path
			}
		} else {
			for _, m := range definition.FindAllStringSubmatch(string(text), -1) {
				there[m[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(named) == 0 {
		t.Error("no document names a test")
	}
	for n, path := range named {
		if !there[n] {
			t.Errorf("%s names %s, which does not exist", path, n)
		}
	}
}
