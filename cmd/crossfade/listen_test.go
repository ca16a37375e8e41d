package main

import (
	"net"
	"testing"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestAnAddressThatIsTakenEndsRunWithTheRemedy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := smallRig(t, testdb.MySQL(t), "")
	r.env = []string{"CROSSFADE_API_LISTEN=" + l.Addr().String()}
	exit, _, errs := r.crossfade("run")
	if exit != 1 {
		t.Errorf("exit %d, want 1", exit)
	}
	says(t, "run", errs, "api.listen "+l.Addr().String(), "choose another address")
}
