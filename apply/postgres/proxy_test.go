package postgres

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

// proxy stands between the applier and the server. Armed, it cuts the connection on which the next COMMIT is answered, and keeps the answer: the
// transaction is committed, and nobody on this side knows.
type proxy struct {
	listener net.Listener
	server   string
	armed    atomic.Int64 // how many answers are still to be kept
	kept     atomic.Int64
}

func newProxy(t testing.TB, server *testdb.PostgresServer) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &proxy{listener: l, server: fmt.Sprintf("127.0.0.1:%d", server.Port())}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	return p
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	go func() {
		defer server.Close()
		if _, err := io.Copy(server, client); err != nil {
			return // one side has gone; the other goes too
		}
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := server.Read(b)
		if err != nil {
			return
		}
		if bytes.Contains(b[:n], []byte("C\x00\x00\x00\x0bCOMMIT\x00")) && p.armed.Load() > 0 {
			p.armed.Add(-1)
			p.kept.Add(1)
			return
		}
		if _, err := client.Write(b[:n]); err != nil {
			return
		}
	}
}

// url leads to the database through the proxy.
func (p *proxy) url(db *testdb.PostgresDB) string {
	return strings.Replace(db.URL(), fmt.Sprintf(":%d/", db.Server.Port()), fmt.Sprintf(":%d/", p.listener.Addr().(*net.TCPAddr).Port), 1)
}
