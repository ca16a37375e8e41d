package configs

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
)

// Endpoint is an http or https URL. Its query and password are never printed, for they hold tokens. Its zero value is none.
type Endpoint struct {
	full  Secret
	shown string
}

// ParseEndpoint reads an http or https URL. No error shows a part of it.
func ParseEndpoint(text string) (Endpoint, error) {
	wrong := &fault{problem: "no http or https URL", remedy: "write it like https://host/path"}
	u, err := url.Parse(text)
	if err != nil { // its text shows the URL
		return Endpoint{}, wrong
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "" {
		return Endpoint{}, wrong
	}
	if u.Fragment != "" {
		return Endpoint{}, &fault{problem: "the URL holds a #, and what follows would never be sent", remedy: "write it as %23 or remove it"}
	}
	shown := *u
	if shown.User != nil {
		shown.User = url.User(hidden)
	}
	if shown.RawQuery != "" {
		shown.RawQuery = hidden
	}
	return Endpoint{full: NewSecret(text), shown: shown.String()}, nil
}

// IsZero reports whether there is none.
func (e Endpoint) IsZero() bool { return e.full.IsZero() }

// Reveal returns the whole URL.
func (e Endpoint) Reveal() string { return e.full.Reveal() }

// Redacted returns the URL with xxxxx for user and query.
func (e Endpoint) Redacted() string { return e.shown }

// String is Redacted.
func (e Endpoint) String() string { return e.shown }

// GoString hides the secrets from %#v.
func (e Endpoint) GoString() string { return fmt.Sprintf("configs.Endpoint(%q)", e.shown) }

// LogValue hides the secrets from slog.
func (e Endpoint) LogValue() slog.Value { return slog.StringValue(e.shown) }

// MarshalText hides the secrets from YAML and others.
func (e Endpoint) MarshalText() ([]byte, error) { return []byte(e.shown), nil }

// MarshalJSON hides the secrets from JSON.
func (e Endpoint) MarshalJSON() ([]byte, error) { return json.Marshal(e.shown) }
