package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Migration is the running migration that the API steers.
type Migration interface {
	Status(ctx context.Context) Status
	// Verify compares in full; with repair it re-copies rows that differ. Differences that remain are an *Error with code differences, beside the result.
	Verify(ctx context.Context, table string, repair bool) (VerifyResult, error)
	// Cutover returns the report, with dryRun the go/no-go report.
	Cutover(ctx context.Context, dryRun bool) (json.RawMessage, error)
	Settle(ctx context.Context, step, outcome string) error
	Rollback(ctx context.Context) (json.RawMessage, error)
	// Finalize ends the soak.
	Finalize(ctx context.Context) error
	Pause(ctx context.Context) error
	Resume(ctx context.Context, table string) error
	// Report gives the report of an attempt, 0: the newest.
	Report(ctx context.Context, attempt int64, format string) ([]byte, error)
	Check(ctx context.Context) (json.RawMessage, error)
}

// Server serves the API until its context ends.
type Server struct {
	pending   Status
	migration atomic.Pointer[Migration]
}

// NewServer returns the API of a migration that is starting: until Open its status is pending, and it takes no verb.
func NewServer(pending Status) *Server { return &Server{pending: pending} }

// Open gives the API the migration that it steers from now on.
func (s *Server) Open(m Migration) { s.migration.Store(&m) }

var errStarting = &Error{Code: "refused", Message: "the daemon is still starting", Remedy: "try again in a moment; its log says what it waits for"}

// open is the migration, once there is one.
func (s *Server) open() (Migration, error) {
	if m := s.migration.Load(); m != nil {
		return *m, nil
	}
	return nil, errStarting
}

func (s *Server) now(ctx context.Context) Status {
	if m := s.migration.Load(); m != nil {
		return (*m).Status(ctx)
	}
	st := s.pending
	st.At = time.Now().UTC()
	return st
}

// handler serves the API. What a verb has begun lives as long as life, not as long as its caller waits.
func (s *Server) handler(life context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("GET /v1/report", s.report)
	mux.HandleFunc("GET /v1/check", s.check)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("POST /v1/{verb}", func(w http.ResponseWriter, r *http.Request) { s.verb(life, w, r) })
	return sameOrigin(mux)
}

// Request is the body of POST /v1/VERB.
type Request struct {
	Table   string `json:"table,omitempty"`
	Repair  bool   `json:"repair,omitempty"`
	DryRun  bool   `json:"dry_run,omitempty"`
	Step    string `json:"step,omitempty"`
	Outcome string `json:"outcome,omitempty"`
}

// Run listens on the socket, and on a TCP address when one is given, until ctx ends. The caller holds the lock of the socket's directory.
func (s *Server) Run(ctx context.Context, socket, address string) error {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the stale socket: %w", err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("listen on the socket: %w", err)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		l.Close()
		return fmt.Errorf("protect the socket: %w", err)
	}
	listeners := []net.Listener{l}
	if address != "" {
		t, err := net.Listen("tcp", address)
		if err != nil {
			l.Close()
			return fmt.Errorf("api.listen %s: %w; choose another address, or \"\" for the socket alone", address, err)
		}
		listeners = append(listeners, t)
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		srv := &http.Server{Handler: s.handler(ctx), ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
		g.Go(func() error {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve the API: %w", err)
			}
			return nil
		})
		g.Go(func() error {
			<-gctx.Done()
			end, cancel := context.WithTimeout(context.WithoutCancel(gctx), 3*time.Second)
			defer cancel()
			if err := srv.Shutdown(end); err != nil {
				return srv.Close()
			}
			return nil
		})
	}
	return g.Wait()
}

// sameOrigin refuses what a page of another origin makes a browser send, also one whose name was made to lead to this machine.
func sameOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !ours(r.Host) {
			answer(w, nil, &Error{Code: "refused", Message: "a request to the name " + r.Host, Remedy: "use localhost or a loopback address"})
			return
		}
		if o := r.Header.Get("Origin"); r.Method != http.MethodGet && o != "" && o != "http://"+r.Host {
			answer(w, nil, &Error{Code: "refused", Message: "a request from another origin", Remedy: "use the command line or the socket"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ours reports whether a request was addressed to this machine by a name that nobody else can give it.
func ours(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == clientHost || host == "localhost" || err == nil && ip.IsLoopback()
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	answer(w, s.now(r.Context()), nil)
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	st := s.now(r.Context())
	if st.State == "failed" || st.State == "pending" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprintln(w, st.State)
}

func (s *Server) check(w http.ResponseWriter, r *http.Request) {
	m, err := s.open()
	if err != nil {
		answer(w, nil, err)
		return
	}
	v, err := m.Check(r.Context())
	answer(w, v, err)
}

func (s *Server) report(w http.ResponseWriter, r *http.Request) {
	attempt, err := strconv.ParseInt(r.URL.Query().Get("attempt"), 10, 64)
	if err != nil && r.URL.Query().Get("attempt") != "" {
		answer(w, nil, Fail(ExitUsage, errors.New("attempt is not a number"), ""))
		return
	}
	m, err := s.open()
	if err != nil {
		answer(w, nil, err)
		return
	}
	b, err := m.Report(r.Context(), attempt, r.URL.Query().Get("format"))
	if err != nil {
		answer(w, nil, err)
		return
	}
	_, _ = w.Write(b) // the client is gone: nobody to tell
}

func (s *Server) verb(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	var req Request
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&req); err != nil && !errors.Is(err, io.EOF) {
		answer(w, nil, Fail(ExitUsage, fmt.Errorf("read the request: %w", err), ""))
		return
	}
	m, err := s.open()
	if err != nil {
		answer(w, nil, err)
		return
	}
	var v any
	switch r.PathValue("verb") {
	case "verify":
		v, err = m.Verify(r.Context(), req.Table, req.Repair)
	case "cutover":
		if req.Step != "" || req.Outcome != "" {
			err = m.Settle(ctx, req.Step, req.Outcome)
		} else {
			v, err = m.Cutover(ctx, req.DryRun)
		}
	case "rollback":
		v, err = m.Rollback(ctx)
	case "finalize":
		err = m.Finalize(ctx)
	case "pause":
		err = m.Pause(ctx)
	case "resume":
		err = m.Resume(ctx, req.Table)
	default:
		err = Fail(ExitUsage, fmt.Errorf("verb %q is not known, or not built yet", r.PathValue("verb")), "see `crossfade help`")
	}
	answer(w, v, err)
}

// reply is the envelope of every answer but the status.
type reply struct {
	Error  *Error `json:"error,omitempty"`
	Result any    `json:"result,omitempty"`
}

func answer(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	var body any = v
	if err != nil {
		e := asError(err)
		w.WriteHeader(statuses[e.Code])
		body = reply{Error: e, Result: v}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(body) // the client is gone: nobody to tell
}
