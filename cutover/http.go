package cutover

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// HTTP is a switch step that posts to a service.
type HTTP struct {
	Label string // its name in reports; unique
	// URL takes the POST and answers a GET with {"active": "source"} or target. It may hold secrets and is in no error.
	URL     string
	Timeout time.Duration // of either; 0: 10 s
}

// longestAnswer is how much of an answer is read.
const longestAnswer = 64 << 10

func (h *HTTP) Name() string { return h.Label }

// Run posts where traffic is to go. What became of a request that was begun and not answered, or answered by 5xx, is unknown.
func (h *HTTP) Run(ctx context.Context, e SwitchEnv) error {
	body, err := json.Marshal(struct {
		Migration string        `json:"migration"`
		Epoch     int64         `json:"epoch"`
		Direction string        `json:"direction"`
		Active    protocol.Side `json:"active"`
		ActiveURL string        `json:"active_url"`
	}{e.Migration, e.Epoch, e.Direction, e.Active, e.ActiveURL})
	if err != nil {
		return fmt.Errorf("render the request: %w", err)
	}
	status, answer, sent, err := h.do(ctx, http.MethodPost, body)
	switch {
	case status >= 200 && status < 300: // also when its text was cut short
		return nil
	case status >= 500:
		return fmt.Errorf("POST was answered by %d, %w: %s", status, ErrUnknownOutcome, clip(answer))
	case status != 0:
		return fmt.Errorf("POST was answered by %d: %s", status, clip(answer))
	case sent:
		return fmt.Errorf("POST: %w", errors.Join(ErrUnknownOutcome, err))
	default:
		return fmt.Errorf("POST was not sent: %w", err)
	}
}

// Active asks by GET where traffic goes.
func (h *HTTP) Active(ctx context.Context, _ SwitchEnv) (protocol.Side, error) {
	status, answer, _, err := h.do(ctx, http.MethodGet, nil)
	switch {
	case err != nil:
		return "", fmt.Errorf("GET: %w", err)
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		return "", ErrNoStatus
	case status != http.StatusOK:
		return "", fmt.Errorf("GET was answered by %d: %s", status, clip(answer))
	}
	var v struct {
		Active protocol.Side `json:"active"`
	}
	if err := json.Unmarshal([]byte(answer), &v); err != nil {
		return "", fmt.Errorf(`GET was answered by %q, not by {"active": "source"} or target: %w`, clip(answer), err)
	}
	if v.Active != protocol.Source && v.Active != protocol.Target {
		return "", fmt.Errorf(`GET says that %q is active, not "source" or "target"`, clip(string(v.Active)))
	}
	return v.Active, nil
}

// do sends one request over a connection of its own. Sent: there was a connection, so the service may have it. An error can come with a status.
func (h *HTTP) do(ctx context.Context, method string, body []byte) (status int, answer string, sent bool, err error) {
	timeout := h.Timeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %v", timeout))
	defer cancel()
	var connected atomic.Bool // the trace is called by the transport's goroutine
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, method, h.URL, bytes.NewReader(body))
	if err != nil {
		return 0, "", false, withoutURL(err)
	}
	req.Header.Set("Accept", "application/json")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	// A connection that is used once makes no request that the transport would send again by itself; a redirect is an answer like others.
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), err)
		}
		return 0, "", connected.Load(), withoutURL(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, longestAnswer))
	if err != nil {
		err = fmt.Errorf("read the answer: %w", err)
	}
	return resp.StatusCode, string(text), true, err
}

// withoutURL takes the URL, which may hold secrets, out of an error of the client.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
