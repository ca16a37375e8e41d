package mysql

import (
	"math/rand/v2"
	"testing"
)

const (
	uuidA = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	uuidB = "4e11fa47-71ca-11e1-9e33-c80aa9429562"
)

func TestPositionTextIsReadBackAsWritten(t *testing.T) {
	for _, s := range []string{
		"gtid:",
		"gtid:" + uuidA + ":1-5",
		"gtid:" + uuidA + ":1-5:7:9-11," + uuidB + ":3",
		"gtid:" + uuidA + ":1-5:blue:1-3:green:7",
		"gtid:" + uuidA + ":1-5;in=" + uuidA + ":6;row=17",
		"gtid:" + uuidA + ":1-5;in=" + uuidB + ":blue:6;row=1",
		"gtid:" + uuidA + ":1-5;xa=61.62.1+63..2",
		"file:binlog.000012:157",
		"file:bin:log.000012:157;row=3",
		"file:binlog.000012:157;gtid=0-1-100,3-2-18446744073709551615;row=3;xa=61.62.1",
		"file:binlog.000012:157;row=3;xa=61.62.1",
		"file:binlog.000012:157;on=00ff00ff;passing=1;gtid=0-1-100;part=0-1-101;row=3",
		"file:binlog.000012:157;on=00ff00ff;upto=0-1-100",
	} {
		p, err := parsePosition(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
		} else if p.String() != s {
			t.Errorf("%s was written as %s", s, &p)
		}
	}
	p, err := parsePosition("gtid: 3E11FA47-71CA-11E1-9E33-C80AA9429562:1-3:4-5:9,\n" + uuidB + ":1")
	if want := "gtid:" + uuidA + ":1-5:9," + uuidB + ":1"; err != nil || p.String() != want {
		t.Errorf("as the server shows it: %s, %v; want %s", &p, err, want)
	}
}

func TestPositionRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, s := range []string{
		"", "lsn:0/1", "gtid:x:1", "gtid:" + uuidA, "gtid:" + uuidA + ":0", "gtid:" + uuidA + ":5-3", "gtid:" + uuidA + ":1,,",
		"gtid:" + uuidA + ":1;row=4", "gtid:" + uuidA + ":1;in=" + uuidA + ":2", "gtid:" + uuidA + ":1;in=" + uuidA + ":2-3;row=1",
		"gtid:" + uuidA + ":tag", "file:x", "file:binlog.1:y", "file:b.1:4;in=" + uuidA + ":2;row=1", "gtid:" + uuidA + ":1;more=1",
		"file:b.1:4;gtid=", "file:b.1:4;gtid=0-1", "file:b.1:4;gtid=0-1-x", "file:b.1:4;gtid=0-1-2,0-1-3", "file:b.1:4;part=0-1", "gtid:" + uuidA + ":1;on=00ff00ff", "gtid:" + uuidA + ":1;passing=1", "gtid:" + uuidA + ":1;gtid=0-1-2",
	} {
		if p, err := parsePosition(s); err == nil {
			t.Errorf("%q was read as %s", s, &p)
		}
	}
}

func TestCoversPutsAPlaceInsideATransactionBeforeItsCommit(t *testing.T) {
	a5 := "gtid:" + uuidA + ":1-5"
	for _, c := range []struct {
		at, p string
		want  bool
	}{
		{a5, a5, true},
		{a5, "gtid:" + uuidA + ":1-4", true},
		{a5, "gtid:" + uuidA + ":1-6", false},
		{a5, "gtid:", true},
		{a5, "gtid:" + uuidA + ":1-5," + uuidB + ":1", false},
		{a5 + ";in=" + uuidA + ":6;row=9", "gtid:" + uuidA + ":1-6", false},
		{a5 + ";in=" + uuidA + ":6;row=9", a5, true},
		{a5 + ";in=" + uuidA + ":6;row=9", a5 + ";in=" + uuidA + ":6;row=9", true},
		{a5 + ";in=" + uuidA + ":6;row=8", a5 + ";in=" + uuidA + ":6;row=9", false},
		{a5 + ";in=" + uuidA + ":7;row=9", a5 + ";in=" + uuidA + ":6;row=9", false},
		{"gtid:" + uuidA + ":1-6", a5 + ";in=" + uuidA + ":6;row=9", true},
		{"file:b.000009:500", "file:b.000009:500", true},
		{"file:b.000009:500", "file:b.000009:501", false},
		{"file:b.000010:4", "file:b.000009:501", true},
		{"file:b.1000000:4", "file:b.999999:501", true},
		{"file:b.000009:500;on=a;gtid=0-1-7", "file:b.000001:4;on=b;gtid=0-1-8", false}, // of two servers the GTIDs say it
		{"file:b.000001:4;on=a;gtid=0-1-7,3-1-2", "file:b.000009:500;on=b;gtid=0-1-7", true},
		{"file:b.000009:4;on=a;passing=1;gtid=0-1-7", "file:b.000009:500;on=a;upto=0-1-7", true}, // and where what had been read comes again
		{"file:b.000009:400;on=a;gtid=0-1-7", "file:b.000009:500;on=a;gtid=0-1-7", false},
		{"file:b.000009:500;row=3", "file:b.000009:700", false},
		{"file:b.000009:500;row=3", "file:b.000009:500", true},
		{"file:b.000009:500;row=3", "file:b.000009:500;row=4", false},
		{"file:b.000009:500;gtid=0-1-7", "file:b.000009:500", true},
		{"file:b.000009:500", "file:b.000009:501;gtid=0-1-7", false},
	} {
		if got, err := coversText(c.at, c.p); err != nil || got != c.want {
			t.Errorf("%s covers %s: %v, %v; want %v", c.at, c.p, got, err, c.want)
		}
	}
	for _, c := range [][2]string{{a5, "file:b.1:4"}, {"file:a.1:4", "file:b.1:4"}, {"file:a.1:4", "file:b:4"}} {
		if got, err := coversText(c[0], c[1]); err == nil {
			t.Errorf("%s covers %s: %v without an error", c[0], c[1], got)
		}
	}
}

func TestExecutedHoldsTheTransactionReadInPart(t *testing.T) {
	p, err := parsePosition("gtid:" + uuidA + ":1-5;in=" + uuidA + ":7;row=9")
	if err != nil {
		t.Fatal(err)
	}
	set := p.executed()
	if set.String() != uuidA+":1-5:7" || p.set.String() != uuidA+":1-5" {
		t.Errorf("executed %s, set %s", &set, &p.set)
	}
}

// A set built in any order equals a plain list of numbers.
func TestGTIDSetAddsInAnyOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	a, _ := parseUUID(uuidA)
	for range 200 {
		var set gtidSet
		have := map[int64]bool{}
		for range r.IntN(60) {
			first := 1 + r.Int64N(40)
			last := first + r.Int64N(3)
			set.addSpan(a, "", span{first, last})
			for n := first; n <= last; n++ {
				have[n] = true
			}
		}
		for n := int64(1); n < 50; n++ {
			if set.has(gtid{uuid: a, n: n}) != have[n] {
				t.Fatalf("%s: transaction %d is wrong", &set, n)
			}
		}
		for _, src := range set.sources {
			for i := 1; i < len(src.spans); i++ {
				if src.spans[i].first <= src.spans[i-1].last+1 {
					t.Fatalf("%s is not in its shortest form", &set)
				}
			}
		}
		back, err := parseGTIDSet(set.String())
		if err != nil || back.String() != set.String() || !back.contains(&set) || !set.contains(&back) {
			t.Fatalf("%s was read back as %s, %v", &set, &back, err)
		}
	}
}

func TestAddingTheNextTransactionAllocatesNothing(t *testing.T) {
	set, err := parseGTIDSet(uuidA + ":1-5:8-9," + uuidB + ":1-7")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := parseUUID(uuidB)
	next := gtid{uuid: b, n: 8}
	if n := testing.AllocsPerRun(1000, func() { set.add(next); next.n++ }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzPosition(f *testing.F) {
	f.Add("gtid:" + uuidA + ":1-5:blue:6;in=" + uuidA + ":7;row=9;xa=61.62.1")
	f.Add("file:binlog.000012:157;row=3")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePosition(s)
		if err != nil {
			return
		}
		q, err := parsePosition(p.String())
		if err != nil || q.String() != p.String() {
			t.Errorf("%q became %q, then %q, %v", s, &p, &q, err)
		}
		if ok, err := p.covers(&q); p.byFile == q.byFile && p.file == q.file && (err != nil || !ok) {
			t.Errorf("%q does not cover itself", s)
		}
	})
}
