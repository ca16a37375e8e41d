package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fixed is a migration that answers what the test says.
type fixed struct {
	Migration
	err error
	got Request
}

func (f *fixed) Status(context.Context) Status { return Status{Name: "shop", State: "running"} }
func (f *fixed) Verify(_ context.Context, table string, repair bool) (VerifyResult, error) {
	f.got = Request{Table: table, Repair: repair}
	return VerifyResult{RowsVerified: 7}, f.err
}
func (f *fixed) Pause(context.Context) error { return f.err }
func (f *fixed) Report(_ context.Context, attempt int64, format string) ([]byte, error) {
	return []byte(format), f.err
}

// serve runs the API until the test ends, and returns a client of it.
func serve(t *testing.T, s *Server) *Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "cf") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	socket := filepath.Join(dir, "sock")
	go func() { done <- s.Run(ctx, socket, "") }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	c := NewClient(socket)
	end := time.Now().Add(20 * time.Second)
	for {
		if _, err := c.Status(ctx); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the API does not answer")
		}
		time.Sleep(time.Millisecond)
	}
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket %v %v: others may open it", info, err)
	}
	return c
}

func TestWhileItStartsTheStatusIsPendingAndNoVerbIsTaken(t *testing.T) {
	s := NewServer(Status{Name: "shop", State: "pending"})
	c := serve(t, s)
	if st, err := c.Status(t.Context()); err != nil || st.State != "pending" {
		t.Errorf("%+v %v", st, err)
	}
	var e *Error
	for _, verb := range []string{"pause", "verify", "cutover"} {
		if _, err := c.Post(t.Context(), verb, Request{}); !errors.As(err, &e) || e.Exit() != ExitRefused || !strings.Contains(e.Message, "starting") {
			t.Errorf("%s: %v", verb, err)
		}
	}
	for _, what := range []string{"check", "report"} {
		if _, err := c.Get(t.Context(), what, nil); !errors.As(err, &e) || e.Exit() != ExitRefused {
			t.Errorf("%s: %v", what, err)
		}
	}
	s.Open(&fixed{})
	if st, err := c.Status(t.Context()); err != nil || st.State != "running" {
		t.Errorf("%+v %v", st, err)
	}
	if _, err := c.Post(t.Context(), "pause", Request{}); err != nil {
		t.Error(err)
	}
}

func TestAnErrorCrossesTheAPIWithItsExitCodeAndBesideAResult(t *testing.T) {
	m := &fixed{}
	s := NewServer(Status{})
	s.Open(m)
	c := serve(t, s)
	for _, exit := range []int{ExitFailed, ExitUsage, ExitRefused, ExitDifferences, ExitAborted} {
		m.err = Fail(exit, errors.New("why"), "what to do")
		b, err := c.Post(t.Context(), "verify", Request{Table: "shop.a", Repair: true})
		var e *Error
		if !errors.As(err, &e) || e.Exit() != exit || e.Error() != "why; what to do" {
			t.Errorf("exit %d: %v", exit, err)
		}
		var v VerifyResult
		if err := json.Unmarshal(b, &v); err != nil || v.RowsVerified != 7 {
			t.Errorf("exit %d: result %s %v", exit, b, err)
		}
	}
	if m.got != (Request{Table: "shop.a", Repair: true}) {
		t.Errorf("the request arrived as %+v", m.got)
	}
	m.err = errors.New("plain")
	var e *Error
	if _, err := c.Post(t.Context(), "pause", Request{}); !errors.As(err, &e) || e.Exit() != ExitFailed {
		t.Errorf("%v", err)
	}
	if _, err := c.Post(t.Context(), "alter", Request{}); !errors.As(err, &e) || e.Exit() != ExitUsage || !strings.Contains(e.Message, `"alter"`) {
		t.Errorf("a verb that is not built: %v", err)
	}
	if _, err := c.Get(t.Context(), "report", map[string][]string{"attempt": {"first"}}); !errors.As(err, &e) || e.Exit() != ExitUsage {
		t.Errorf("%v", err)
	}
}

func TestNobodyListensIsSaidAsSuch(t *testing.T) {
	_, err := NewClient(filepath.Join(t.TempDir(), "sock")).Status(t.Context())
	if !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), "crossfade run") {
		t.Errorf("%v", err)
	}
}

func TestABrowsersRequestFromAnotherOriginIsRefused(t *testing.T) {
	s := NewServer(Status{})
	s.Open(&fixed{})
	h := s.handler(t.Context())
	for origin, want := range map[string]int{"": http.StatusOK, "http://127.0.0.1:7070": http.StatusOK, "https://evil.example": http.StatusConflict, "null": http.StatusConflict} {
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:7070/v1/pause", bytes.NewReader([]byte("{}")))
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("origin %q: %d, want %d", origin, w.Code, want)
		}
	}
	for host, want := range map[string]int{"localhost:7070": http.StatusOK, "[::1]:7070": http.StatusOK, "evil.example:7070": http.StatusConflict, "evil.example": http.StatusConflict} {
		r := httptest.NewRequest(http.MethodPost, "http://"+host+"/v1/pause", bytes.NewReader([]byte("{}")))
		r.Header.Set("Origin", "http://"+host) // a name that its owner has made to lead here
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("host %q: %d, want %d", host, w.Code, want)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "http://127.0.0.1:7070/v1/pause", nil))
		if w.Code == http.StatusOK {
			t.Errorf("%s changes something", method)
		}
	}
}

func TestOneProcessAtATimeWorksOnAMigration(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shop")
	release, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second lock: %v", err)
	}
	release()
	again, err := Lock(dir)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	defer again()
	if err := os.RemoveAll(dir); err != nil { // as cleanup does
		t.Fatal(err)
	}
	fresh, err := Lock(dir)
	if err != nil {
		t.Fatalf("a new directory: %v", err)
	}
	fresh()
}
