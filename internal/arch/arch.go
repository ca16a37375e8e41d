package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// file is what a source file says of its place in the house.
type file struct {
	pkg     string // directory, relative to the module
	name    string // of the package
	path    string
	test    bool
	doc     string   // the package comment
	imports []string // those inside the module are relative to it and begin with "./"
}

// Check returns every breach of the rules in a module, as "file: what is wrong".
func Check(tree fs.FS, module string) ([]string, error) {
	files, err := read(tree, module)
	if err != nil {
		return nil, fmt.Errorf("read the source tree: %w", err)
	}
	breaches := undocumented(files)
	for _, f := range files {
		for _, i := range f.imports {
			if why := forbidden(f, i); why != "" {
				breaches = append(breaches, fmt.Sprintf("%s imports %s: %s", f.path, strings.TrimPrefix(i, "./"), why))
			}
		}
	}
	breaches = append(breaches, carried(files)...)
	slices.Sort(breaches)
	return breaches, nil
}

func read(tree fs.FS, module string) ([]file, error) {
	var files []file
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			base := entry.Name()
			if name != "." && (base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		f, err := describe(name, parsed, module)
		files = append(files, f)
		return err
	})
	return files, err
}

func describe(name string, parsed *ast.File, module string) (file, error) {
	f := file{pkg: path.Dir(name), name: parsed.Name.Name, path: name, test: strings.HasSuffix(name, "_test.go"), doc: parsed.Doc.Text()}
	for _, spec := range parsed.Imports {
		i, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return f, fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
		}
		if rest, own := strings.CutPrefix(i, module); own && (rest == "" || rest[0] == '/') {
			i = "." + rest
		}
		f.imports = append(f.imports, i)
	}
	return f, nil
}

func undocumented(files []file) []string {
	documented := map[string]bool{}
	for _, f := range files {
		want := "Package " + f.name + " "
		if f.name == "main" {
			want = "Command " + path.Base(f.pkg) + " "
		}
		documented[f.pkg] = documented[f.pkg] || !f.test && strings.HasPrefix(f.doc, want)
	}
	var breaches []string
	for pkg, ok := range documented {
		if !ok {
			breaches = append(breaches, pkg+`: no package comment that begins with "Package NAME " or "Command NAME "`)
		}
	}
	return breaches
}

var stages = []string{"capture", "transform", "apply", "cutover"}

// forbidden says why a file may not import something, or nothing when it may.
func forbidden(f file, imported string) string {
	top, _, _ := strings.Cut(f.pkg, "/")
	target, own := strings.CutPrefix(imported, "./")
	if !own {
		return forbiddenLibrary(f, imported)
	}
	targetTop, _, _ := strings.Cut(target, "/")
	if top == "cmd" {
		if target == "internal/testdb" && f.pkg == "cmd/crossfade" && !f.test {
			return "the production binary carries no test servers"
		}
		return ""
	}
	if target == f.pkg {
		return "" // an external test of the package
	}
	switch {
	case target == "internal/testdb" && !f.test:
		return "test servers are for tests and for programs under cmd"
	case f.pkg == "internal/change" && !f.test:
		return "internal/change imports the standard library only"
	case targetTop == "cmd":
		return "nothing imports a program"
	case targetTop == "configs":
		return "only cmd reads the configuration; others are given what they need"
	case isEngine(target) && !within(f.pkg, target):
		return "only cmd imports an engine"
	case slices.Contains(stages, targetTop) && targetTop != top:
		return fmt.Sprintf("%s does not import %s: declare an interface and let cmd compose", top, targetTop)
	default:
		return ""
	}
}

func forbiddenLibrary(f file, imported string) string {
	first, _, _ := strings.Cut(imported, "/")
	library := strings.Contains(first, ".")
	switch {
	case imported == "C":
		return "the binary is built without C"
	case f.test:
		return ""
	case library && f.pkg == "internal/change":
		return "internal/change imports the standard library only"
	case strings.HasPrefix(imported, "github.com/spf13/viper") && f.pkg != "configs":
		return "only configs imports viper"
	default:
		return ""
	}
}

// isEngine tells whether a package is, or belongs to, an engine of a stage.
func isEngine(pkg string) bool {
	parts := strings.Split(pkg, "/")
	return len(parts) > 1 && slices.Contains(stages, parts[0]) && slices.Contains([]string{"postgres", "mysql", "mariadb"}, parts[1])
}

// within tells whether a package lies in the engine that target is part of.
func within(pkg, target string) bool {
	parts := strings.Split(target, "/")
	engine := parts[0] + "/" + parts[1]
	return pkg == engine || strings.HasPrefix(pkg, engine+"/")
}

// carried follows the imports of the production binary: it must not carry what is for tests.
func carried(files []file) []string {
	imports := map[string][]string{}
	for _, f := range files {
		if !f.test {
			imports[f.pkg] = append(imports[f.pkg], f.imports...)
		}
	}
	var breaches []string
	seen := map[string]bool{}
	var follow func(pkg string)
	follow = func(pkg string) {
		if seen[pkg] {
			return
		}
		seen[pkg] = true
		for _, i := range imports[pkg] {
			target, own := strings.CutPrefix(i, "./")
			switch {
			case own && target == "internal/testdb" || i == "testing" || strings.HasPrefix(i, "testing/"):
				breaches = append(breaches, fmt.Sprintf("%s imports %s, so cmd/crossfade carries it", pkg, target))
			case own:
				follow(target)
			}
		}
	}
	follow("cmd/crossfade")
	return breaches
}
