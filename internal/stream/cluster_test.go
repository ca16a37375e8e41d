package stream

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// freePort returns a port that was free a moment ago: the servers of a cluster must know each other's before they start.
func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

func startCluster(t *testing.T) []*server.Server {
	t.Helper()
	var routes []*url.URL
	ports := make([]int, 3)
	for i := range ports {
		ports[i] = freePort(t)
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports[i])})
	}
	servers := make([]*server.Server, 3)
	for i := range servers {
		srv, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("node-%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, MaxPayload: maxPayload, JetStreamMaxStore: 1 << 40,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i]}, Routes: routes,
		})
		if err != nil {
			t.Fatal(err)
		}
		go srv.Start()
		t.Cleanup(func() {
			srv.Shutdown()
			srv.WaitForShutdown()
		})
		servers[i] = srv
	}
	for _, srv := range servers {
		if !srv.ReadyForConnections(20 * time.Second) {
			t.Fatal("a node did not start")
		}
	}
	until(t, "the cluster has a leader", func() bool {
		for _, srv := range servers {
			if !srv.JetStreamIsCurrent() {
				return false
			}
		}
		for _, srv := range servers {
			if srv.JetStreamIsLeader() && len(srv.JetStreamClusterPeers()) == len(servers) {
				return true
			}
		}
		return false
	})
	return servers
}

func TestAReplicatedStreamOutlivesTheLossOfItsLeader(t *testing.T) {
	servers := startCluster(t)
	var urls []string
	for _, srv := range servers {
		urls = append(urls, srv.ClientURL())
	}
	cfg := Config{URL: strings.Join(urls, ","), Name: "shop-1", MaxBytes: 256 << 20, Replicas: 3}
	l := openAt(t, cfg)
	second := openAt(t, cfg)
	ctx := testContext(t)
	r, err := l.Read(ctx, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const frames = 400
	appended := make(chan error, 1)
	go func() {
		for n := 1; n <= frames; n++ {
			if _, err := l.Append(ctx, frameOf(t, n, 3000)); err != nil {
				appended <- err
				return
			}
		}
		appended <- l.Wait(ctx, frames)
	}()
	leader := ""
	for n := 1; n <= frames; n++ {
		if n == 100 {
			info, err := l.link.js.Stream(ctx, cfg.frameStream())
			if err != nil {
				t.Fatal(err)
			}
			if sc := info.CachedInfo().Config; sc.Replicas != 3 || sc.Storage != jetstream.FileStorage {
				t.Fatalf("%+v", sc)
			}
			leader = info.CachedInfo().Cluster.Leader
			for _, srv := range servers {
				if srv.Name() == leader {
					srv.Shutdown()
				}
			}
		}
		f, err := r.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if string(f.Position) != fmt.Sprintf("position %d", n) {
			t.Fatalf("frame %d says %q", n, f.Position)
		}
	}
	if leader == "" {
		t.Fatal("no leader was lost")
	}
	if err := <-appended; err != nil {
		t.Fatal(err)
	}
	if err := l.Put(ctx, "shape.1", []byte("x")); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 2*frames && err == nil; n++ { // enough to fit behind the first writer's if only sequences counted
		_, err = second.Append(ctx, frameOf(t, 5000+n, 100))
	}
	if err == nil {
		err = second.Wait(ctx, 2*frames)
	}
	wantError(t, err, ErrFenced)
	if s := stats(t, l); s.Last != frames || second.Acked() != 0 {
		t.Fatalf("the fenced writer stored frames: %+v", s)
	}
}
