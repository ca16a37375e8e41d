package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

// The scripts of testdata/script say, verb by verb, what a user types and what comes back.
//
//	crossfade EXIT VERB...   runs the program, which must end with that code
//	mysql SQL, psql SQL      on the databases of this script; psql prints
//	shape FILE               writes the names of the fields of the JSON that was printed last; CROSSFADE_UPDATE_SCRIPTS=1 writes the goldens
func TestTheVerbsKeepTheirContract(t *testing.T) {
	bin := t.TempDir()
	if err := os.Symlink(os.Args[0], filepath.Join(bin, "crossfade")); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("CROSSFADE_UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv(asProgram, "1")
			state, err := os.MkdirTemp("", "cf") // the path of a socket must be short
			if err != nil {
				return err
			}
			env.Defer(func() { _ = os.RemoveAll(state) })
			env.Setenv("STATE", state)
			if _, err := os.Stat(filepath.Join(env.WorkDir, "needs-servers")); err != nil {
				return nil
			}
			st := env.T().(testing.TB)
			my, pg := testdb.MySQL(st).Database(st), testdb.Postgres(st, 15).Database(st)
			my.Exec(st, "SET GLOBAL innodb_flush_log_at_trx_commit = 1, GLOBAL sync_binlog = 1")
			env.Setenv("SOURCE", my.URL())
			env.Setenv("TARGET", pg.URL())
			env.Setenv("DB", my.Name)
			env.Values["my"], env.Values["pg"] = my, pg
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"crossfade": runVerb, "mysql": runMySQL, "psql": runPostgres, "shape": writeShape,
		},
	})
}

func runVerb(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var ended *exec.ExitError
	if err := ts.Exec("crossfade", args[1:]...); errors.As(err, &ended) {
		got = ended.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("crossfade %s: exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

func runMySQL(ts *testscript.TestScript, neg bool, args []string) {
	_, err := ts.Value("my").(*testdb.MySQLDB).DB.Exec(args[0])
	if neg == (err == nil) {
		ts.Fatalf("%s: %v", args[0], err)
	}
}

func runPostgres(ts *testscript.TestScript, neg bool, args []string) {
	pg := ts.Value("pg").(*testdb.PostgresDB)
	conn, err := pg.Server.Connect(context.Background(), pg.Name)
	ts.Check(err)
	defer conn.Close(context.Background())
	var out bytes.Buffer
	results, err := conn.PgConn().Exec(context.Background(), args[0]).ReadAll()
	for _, r := range results {
		for _, row := range r.Rows {
			out.Write(append(bytes.Join(row, []byte(" ")), '\n'))
		}
	}
	if neg == (err == nil) {
		ts.Fatalf("%s: %v", args[0], err)
	}
	ts.Check(os.WriteFile(ts.MkAbs("psql.out"), out.Bytes(), 0o600))
}

func writeShape(ts *testscript.TestScript, _ bool, args []string) {
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	fields := map[string]bool{}
	shapeOf("", v, fields)
	lines := make([]string, 0, len(fields))
	for f := range fields {
		lines = append(lines, f)
	}
	sort.Strings(lines)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
}

// shapeOf lists the names of the fields of a JSON value. Evidence is each step's own.
func shapeOf(path string, v any, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if k == "evidence" {
				e = nil
			}
			shapeOf(path+"."+k, e, into)
		}
	case []any:
		if len(v) == 0 {
			into[path+"[]"] = true
		}
		for _, e := range v {
			shapeOf(path+"[]", e, into)
		}
	default:
		into[path] = true
	}
}
