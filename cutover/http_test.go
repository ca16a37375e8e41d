package cutover_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/protocol"
)

var toTarget = cutover.SwitchEnv{Migration: "shop", Epoch: 7, Direction: "forward", Active: protocol.Target, ActiveURL: "postgres://u@db2:5432/shop"}

func service(t *testing.T, f http.HandlerFunc) *cutover.HTTP {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return &cutover.HTTP{Label: "1-http", URL: s.URL + "/switch?token=hunter2", Timeout: time.Minute}
}

func TestAnHTTPStepTellsWhatAnExecStepIsTold(t *testing.T) {
	active := "source"
	h := service(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodGet {
			fmt.Fprintf(w, `{"active": %q}`, active)
			return
		}
		var got map[string]any
		if err := json.NewDecoder(req.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		want := map[string]any{"migration": "shop", "epoch": 7.0, "direction": "forward", "active": "target", "active_url": "postgres://u@db2:5432/shop"}
		if !reflect.DeepEqual(got, want) || req.Header.Get("Content-Type") != "application/json" || req.URL.Query().Get("token") != "hunter2" {
			t.Errorf("told %v, want %v", got, want)
		}
		active = "target"
		w.WriteHeader(http.StatusNoContent)
	})
	if at, err := h.Active(t.Context(), toTarget); at != protocol.Source || err != nil {
		t.Errorf("before: %q, %v", at, err)
	}
	if err := h.Run(t.Context(), toTarget); err != nil {
		t.Fatal(err)
	}
	if at, err := h.Active(t.Context(), toTarget); at != protocol.Target || err != nil {
		t.Errorf("after: %q, %v", at, err)
	}
}

func TestAnHTTPStepThatMayHaveRunIsOfUnknownOutcome(t *testing.T) {
	for code, unknown := range map[int]bool{302: false, 400: false, 409: false, 500: true, 503: true} {
		asked := 0
		h := service(t, func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.Header().Set("Location", "/elsewhere")
			http.Error(w, "because", code)
		})
		err := h.Run(t.Context(), toTarget)
		if err == nil || errors.Is(err, cutover.ErrUnknownOutcome) != unknown || !strings.Contains(err.Error(), "because") || asked != 1 {
			t.Errorf("%d, asked %d times: %v", code, asked, err)
		}
	}
	broken := service(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	late := service(t, func(_ http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body) // only then does the server see that the client hangs up
		<-req.Context().Done()
	})
	late.Timeout = 50 * time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := &cutover.HTTP{Label: "1-http", URL: "http://u:hunter2@" + l.Addr().String() + "/?token=hunter2"}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		step    *cutover.HTTP
		unknown bool
	}{"a connection that breaks": {broken, true}, "no answer in time": {late, true}, "nobody listens": {nobody, false}} {
		err := c.step.Run(t.Context(), toTarget)
		if err == nil || errors.Is(err, cutover.ErrUnknownOutcome) != c.unknown || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := c.step.Active(t.Context(), toTarget); err == nil || errors.Is(err, cutover.ErrNoStatus) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s, status: %v", what, err)
		}
	}
}

func TestAnHTTPStepAnswersWhereTrafficGoesOrNothing(t *testing.T) {
	for _, c := range []struct {
		code     int
		answer   string
		noStatus bool
	}{{404, "", true}, {405, "", true}, {500, "", false}, {302, "", false}, {200, "", false}, {200, `{"active": "both"}`, false}, {200, `{}`, false},
		{200, `{"active": "source"` + strings.Repeat(" ", 1<<20) + "}", false}} {
		h := service(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.code)
			_, _ = w.Write([]byte(c.answer)) // the client hangs up on the long one
		})
		at, err := h.Active(t.Context(), toTarget)
		if err == nil || at != "" || errors.Is(err, cutover.ErrNoStatus) != c.noStatus {
			t.Errorf("%d %.30q: %q, %v", c.code, c.answer, at, err)
		}
	}
}
