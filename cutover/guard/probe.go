package guard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// How an application is probed.
const (
	Window  = 60 * time.Second // of which the share is taken
	Every   = time.Second
	Timeout = 2 * time.Second // an answer that takes longer is none
	Least   = 10              // probes before anything is decided by them
)

// Prober asks an application by GET whether it is well: anything but 2xx is an error, a redirect too.
type Prober struct {
	url    string // it may hold secrets and is in no error
	client http.Client

	mu      sync.Mutex
	begun   int // how often it was told to forget
	probes  []probe
	problem string
}

type probe struct {
	at time.Time
	ok bool
}

// NewProber returns a prober that has not begun.
func NewProber(url string) *Prober {
	return &Prober{url: url, client: http.Client{Timeout: Timeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Run probes once a second until ctx ends, also while an answer is awaited.
func (p *Prober) Run(ctx context.Context) {
	var asking sync.WaitGroup
	defer asking.Wait()
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.mu.Lock()
		begun := p.begun
		p.mu.Unlock()
		at := time.Now()
		asking.Go(func() {
			if err := p.ask(ctx); ctx.Err() == nil {
				p.note(begun, at, err)
			}
		})
	}
}

func (p *Prober) ask(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return withoutURL(err)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	_ = resp.Body.Close() // only the status counts
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("answered by %d", resp.StatusCode)
	}
	return nil
}

// withoutURL takes the URL, which may hold secrets, out of an error of the client.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// note takes the outcome of a probe, unless what was measured then is another thing by now.
func (p *Prober) note(begun int, at time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if begun != p.begun {
		return
	}
	if err != nil {
		p.problem = err.Error()
	}
	p.probes = append(p.probes, probe{at, err == nil})
	p.forgetBefore(at.Add(-Window))
}

// forgetBefore drops what is older than the window. Answers come in any order.
func (p *Prober) forgetBefore(oldest time.Time) {
	kept := p.probes[:0]
	for _, one := range p.probes {
		if one.at.After(oldest) {
			kept = append(kept, one)
		}
	}
	p.probes = kept
}

// Rate is the share of the probes in the window that were not answered well; nil while there are too few to say.
func (p *Prober) Rate(now time.Time) *float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forgetBefore(now.Add(-Window))
	if len(p.probes) < Least {
		return nil
	}
	failed := 0
	for _, one := range p.probes {
		if !one.ok {
			failed++
		}
	}
	rate := float64(failed) / float64(len(p.probes))
	return &rate
}

// Problem is the last error of a probe; empty: there was none.
func (p *Prober) Problem() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.problem
}

// Reset forgets the probes: those of another server say nothing of this one.
func (p *Prober) Reset() {
	p.mu.Lock()
	p.begun, p.probes, p.problem = p.begun+1, nil, ""
	p.mu.Unlock()
}
