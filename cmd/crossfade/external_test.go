package main

import (
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// natsServer is a server of its own, as an operator would run it; port 0 takes a free one.
func natsServer(t *testing.T, dir string, port int) *server.Server {
	t.Helper()
	if port == 0 {
		port = server.RANDOM_PORT
	}
	srv, err := server.NewServer(&server.Options{ServerName: "external", Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, JetStream: true, StoreDir: dir,
		SyncAlways: true, MaxPayload: 8 << 20, JetStreamMaxStore: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	go srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	if !srv.ReadyForConnections(20 * time.Second) {
		t.Fatal("the NATS server did not start")
	}
	return srv
}

// TestAnExternalStreamIsTheSameThroughKillsAndItsOwnRestart: the daemon and the NATS server are each ended in the middle of the work.
func TestAnExternalStreamIsTheSameThroughKillsAndItsOwnRestart(t *testing.T) {
	dir := t.TempDir()
	srv := natsServer(t, dir, 0)
	r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15), "stream: {url: \""+srv.ClientURL()+"\", max_bytes: 1GiB}\nsnapshot: {chunk_rows: 2000, parallel: 2}")
	r.seed(60000)
	w := r.startWorkload(4, 3*time.Millisecond)
	r.start()
	r.until("copying", time.Minute, func(s control.Status) bool { return s.Snapshot.RowsDone > 0 })
	r.kill()
	r.start()
	r.waitReady()
	port := srv.Addr().(*net.TCPAddr).Port
	srv.Shutdown()
	srv.WaitForShutdown()
	r.until("the loss is shown", time.Minute, func(s control.Status) bool { return len(s.Links) > 0 })
	for n := w.count() + 100; w.count() < n; { // the application does not notice
		pause(10 * time.Millisecond)
	}
	srv = natsServer(t, dir, port)
	r.until("the stream goes on", time.Minute, func(s control.Status) bool { return len(s.Links) == 0 && s.Error == nil })
	acked := w.stop()
	r.caughtUp("op")
	r.allEqual()
	r.noneLost(acked)
	r.stop()
	r.must("cleanup")
	info, err := srv.Jsz(&server.JSzOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if info.Streams != 0 {
		t.Errorf("%d streams are left after cleanup", info.Streams)
	}
}
