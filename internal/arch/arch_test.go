package arch

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/crossfade-io/crossfade"

func TestTheHouseIsInOrder(t *testing.T) {
	tree := os.DirFS("../..")
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(mod), "module "+module+"\n") {
		t.Fatalf("../../go.mod is not of %s", module)
	}
	breaches, err := Check(tree, module)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range breaches {
		t.Error(b)
	}
	files, err := read(tree, module)
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range []string{"cmd/crossfade", "configs", "capture", "transform", "apply", "cutover", "internal/change"} {
		if !slices.ContainsFunc(files, func(f file) bool { return f.pkg == pkg }) {
			t.Errorf("package %s was not looked at: the test proves nothing about it", pkg)
		}
	}
}

func TestEachBreachIsFound(t *testing.T) {
	tests := []struct {
		name, path, text string
		want             string // part of the breach; empty when all is well
	}{
		{"capture imports apply", "capture/a.go", `import "$/apply"`, "capture does not import apply"},
		{"capture imports transform", "capture/mysql/a.go", `import "$/transform"`, "capture does not import transform"},
		{"apply imports capture's engine", "apply/a.go", `import "$/capture/mysql"`, "only cmd imports an engine"},
		{"a stage imports its engine", "apply/a.go", `import "$/apply/postgres"`, "only cmd imports an engine"},
		{"an engine imports another", "apply/mysql/a.go", `import "$/apply/postgres"`, "only cmd imports an engine"},
		{"an engine imports its part", "apply/mysql/a.go", `import "$/apply/mysql/part"`, ""},
		{"cutover imports a stage", "cutover/verify/a.go", `import "$/transform"`, "cutover does not import transform"},
		{"an engine imports its stage", "capture/mysql/a.go", `import "$/capture"`, ""},
		{"a stage imports internal", "capture/a.go", `import "$/internal/stream"`, ""},
		{"internal imports a stage", "internal/stream/a.go", `import "$/capture"`, "internal does not import capture"},
		{"internal imports configs", "internal/stream/a.go", `import "$/configs"`, "only cmd reads the configuration"},
		{"a stage imports configs", "transform/a.go", `import "$/configs"`, "only cmd reads the configuration"},
		{"configs imports a stage", "configs/a.go", `import "$/transform"`, "configs does not import transform"},
		{"a program is imported", "internal/control/a.go", `import "$/cmd/crossfade"`, "nothing imports a program"},
		{"change imports another internal package", "internal/change/a.go", `import "$/internal/catalog"`, "standard library only"},
		{"change imports a library", "internal/change/a.go", `import "github.com/klauspost/compress/s2"`, "standard library only"},
		{"change imports the standard library", "internal/change/a.go", `import "encoding/binary"`, ""},
		{"a test of change imports a library", "internal/change/a_test.go", `import "pgregory.net/rapid"`, ""},
		{"viper outside configs", "cmd/crossfade/a.go", `import "github.com/spf13/viper"`, "only configs imports viper"},
		{"viper in configs", "configs/a.go", `import "github.com/spf13/viper"`, ""},
		{"cmd composes", "cmd/crossfade/a.go", `import "$/capture/mysql"`, ""},
		{"test servers in a stage", "capture/a.go", `import "$/internal/testdb"`, "test servers are for tests"},
		{"test servers in the binary", "cmd/crossfade/a.go", `import "$/internal/testdb"`, "carries no test servers"},
		{"test servers in the demo", "cmd/demo/a.go", `import "$/internal/testdb"`, ""},
		{"test servers in a test", "capture/a_test.go", `import "$/internal/testdb"`, ""},
		{"a test crosses stages", "capture/a_test.go", `import "$/apply"`, "capture does not import apply"},
		{"package testing in the binary", "internal/stream/a.go", `import "testing"`, "cmd/crossfade carries it"},
		{"C", "internal/stream/a.go", `import "C"`, "without C"},
		{"a module of a similar name", "apply/a.go", `import "$-extras/capture"`, ""},
		{"a package without a comment", "internal/new/a.go", ``, "no package comment"},
		{"testdata is no source", "capture/testdata/a.go", `import "$/apply"`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree := house()
			name := tt.path[:strings.LastIndex(tt.path, "/")]
			name = name[strings.LastIndex(name, "/")+1:]
			if strings.HasPrefix(tt.path, "cmd/") {
				name = "main"
			}
			tree[tt.path] = &fstest.MapFile{Data: []byte("package " + name + "\n" + strings.ReplaceAll(tt.text, "$", module) + "\n")}
			breaches, err := Check(tree, module)
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == "" {
				if len(breaches) > 0 {
					t.Errorf("found %q, want nothing", breaches)
				}
				return
			}
			if len(breaches) == 0 || !slices.ContainsFunc(breaches, func(b string) bool { return strings.Contains(b, tt.want) }) {
				t.Errorf("found %q, want %q", breaches, tt.want)
			}
		})
	}
}

// house is a tree in good order.
func house() fstest.MapFS {
	tree := fstest.MapFS{}
	for _, pkg := range []string{
		"configs", "capture", "capture/mysql", "transform", "apply", "apply/mysql", "apply/postgres", "cutover/verify",
		"internal/change", "internal/stream", "internal/control", "internal/testdb",
	} {
		name := pkg[strings.LastIndex(pkg, "/")+1:]
		tree[pkg+"/doc.go"] = &fstest.MapFile{Data: []byte("// Package " + name + " is documented.\npackage " + name + "\n")}
	}
	tree["cmd/crossfade/main.go"] = &fstest.MapFile{Data: []byte("// Command crossfade is documented.\npackage main\nimport _ \"" + module + "/internal/stream\"\n")}
	tree["cmd/demo/main.go"] = &fstest.MapFile{Data: []byte("// Command demo is documented.\npackage main\n")}
	return tree
}
