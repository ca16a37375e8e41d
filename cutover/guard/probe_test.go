package guard

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Only an answer of 2xx in time is well; no error names the URL, which may hold a secret.
func TestAProbeTakesOnly2xxInTime(t *testing.T) {
	var status atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status.Load() == 0 {
			<-r.Context().Done()
			return
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(int(status.Load()))
	}))
	defer s.Close()
	p := NewProber(s.URL + "/health?token=hunter2")
	for code, ok := range map[int]bool{200: true, 204: true, 301: false, 302: false, 404: false, 500: false, 503: false, 0: false} {
		status.Store(int32(code))
		err := p.ask(t.Context())
		if (err == nil) != ok {
			t.Errorf("%d: %v", code, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%d: the error tells the URL: %v", code, err)
		}
	}
	s.Close()
	if err := p.ask(t.Context()); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("without a server: %v", err)
	}
}

// An application that does not answer is asked again all the same, once a second, and all of that counts.
func TestAnApplicationThatDoesNotAnswerIsAskedOnAndCounts(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-r.Context().Done()
	}))
	defer s.Close()
	p := NewProber(s.URL)
	go p.Run(t.Context())
	noted := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.probes)
	}
	for end := time.Now().Add(30 * time.Second); noted() < 3; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d probes in 30 s", noted())
		}
	}
	if p.Problem() == "" || int(asked.Load()) < 3 {
		t.Errorf("asked %d times, problem %q", asked.Load(), p.Problem())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.probes {
		if one.ok {
			t.Error("no answer counts as well")
		}
	}
}
