package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/configs"
	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/protocol"
)

func TestEveryKindOfSwitchStepComesFromTheConfigurationInItsOrder(t *testing.T) {
	deploy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Query().Get("token") == "hunter2" {
			_, _ = w.Write([]byte(`{"active": "source"}`)) // the client reads it, or fails the test
		}
	}))
	defer deploy.Close()
	path := filepath.Join(t.TempDir(), "crossfade.yaml")
	text := "name: shop\nsource: {url: 'postgres://u:p@db1/shop', tables: ['public.*']}\ntarget: {url: 'postgres://u:p@db2/shop'}\ncutover:\n  switch:\n" +
		"    - pgbouncer: {admin: 'postgres://admin:hunter2@127.0.0.1:1/pgbouncer', database: shop, ini: /nowhere}\n" +
		"    - exec: {command: [/bin/app], status: [/bin/where]}\n" +
		"    - http: {url: '" + deploy.URL + "/switch?token=hunter2'}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := configs.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	steps, err := switchSteps(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range steps {
		names = append(names, s.Name())
	}
	if got := strings.Join(names, " "); got != "1-pgbouncer 2-app 3-http" {
		t.Fatalf("steps %s", got)
	}
	if at, err := steps[2].Active(t.Context(), cutover.SwitchEnv{}); at != protocol.Source || err != nil {
		t.Errorf("http: %q, %v", at, err)
	}
	if _, err := steps[0].Active(t.Context(), cutover.SwitchEnv{}); err == nil || !strings.Contains(err.Error(), "PgBouncer at 127.0.0.1:1") || strings.Contains(err.Error(), "hunter2") || errors.Is(err, cutover.ErrNoStatus) {
		t.Errorf("pgbouncer: %v", err)
	}
}
