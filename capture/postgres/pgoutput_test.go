package postgres

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/internal/change"
)

func be(parts ...any) (b []byte) {
	for _, p := range parts {
		switch v := p.(type) {
		case byte:
			b = append(b, v)
		case rune:
			b = append(b, byte(v))
		case string:
			b = append(append(b, v...), 0)
		case uint16:
			b = binary.BigEndian.AppendUint16(b, v)
		case uint32:
			b = binary.BigEndian.AppendUint32(b, v)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, v)
		case []byte:
			b = append(b, v...)
		}
	}
	return b
}

func tuple(values ...any) []byte {
	b := be(uint16(len(values)))
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			b = append(b, 'n')
		case bool:
			b = append(b, 'u')
		case string:
			b = append(be(b, 't', uint32(len(v))), v...)
		}
	}
	return b
}

var samples = map[string][]byte{
	"begin":    be('B', uint64(0x1_0000_0100), uint64(5), uint32(742)),
	"commit":   be('C', byte(0), uint64(1), uint64(0x1_0000_0130), uint64(5)),
	"origin":   be('O', uint64(1), "node"),
	"type":     be('Y', uint32(90000), "public", "mood"),
	"relation": be('R', uint32(16384), "public", "t", 'd', uint16(2), byte(1), "id", uint32(23), uint32(0xffffffff), byte(0), "v", uint32(25), uint32(0xffffffff)),
	"insert":   be('I', uint32(16384), 'N', tuple("1", nil)),
	"update":   be('U', uint32(16384), 'N', tuple("1", true)),
	"moved":    be('U', uint32(16384), 'K', tuple("1", nil), 'N', tuple("2", "x")),
	"delete":   be('D', uint32(16384), 'O', tuple("1", "x")),
	"truncate": be('T', uint32(2), byte(3), uint32(16384), uint32(16385)),
}

func TestEveryMessageOfTheProtocolIsParsed(t *testing.T) {
	var m message
	for name, want := range map[string]func() bool{
		"begin":  func() bool { return m.kind == 'B' && m.lsn == 0x1_0000_0100 && m.time == 5 && m.xid == 742 },
		"commit": func() bool { return m.kind == 'C' && m.lsn == 0x1_0000_0130 },
		"origin": func() bool { return m.kind == 'O' },
		"type":   func() bool { return m.kind == 'Y' },
		"relation": func() bool {
			r := m.relation
			return m.oid == 16384 && r.schema == "public" && r.name == "t" && r.identity == 'd' && len(r.columns) == 2 && r.columns[0] == logColumn{"id", true, 23, -1} && r.columns[1].name == "v" && !r.columns[1].key
		},
		"insert": func() bool { return m.oid == 16384 && m.old == nil && string(m.new) == string(tuple("1", nil)) },
		"update": func() bool { return m.oldKind == 0 && string(m.new) == string(tuple("1", true)) },
		"moved": func() bool {
			return m.oldKind == 'K' && string(m.old) == string(tuple("1", nil)) && string(m.new) == string(tuple("2", "x"))
		},
		"delete":   func() bool { return m.oldKind == 'O' && m.new == nil && string(m.old) == string(tuple("1", "x")) },
		"truncate": func() bool { return len(m.oids) == 2 && m.oids[1] == 16385 },
	} {
		if err := m.parse(samples[name]); err != nil || !want() {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

func TestAMessageThatIsNotWholeOrNotKnownIsRefused(t *testing.T) {
	var m message
	for name, b := range samples {
		for n := range b {
			if err := m.parse(b[:n]); err == nil {
				t.Errorf("%s: its first %d bytes of %d are taken", name, n, len(b))
			}
		}
		if err := m.parse(append(b[:len(b):len(b)], 0)); err == nil {
			t.Errorf("%s: a byte too many is taken", name)
		}
	}
	for name, b := range map[string][]byte{
		"stream start":       be('S', uint32(1), byte(1)),
		"message":            be('M', byte(0), uint64(1), "x", uint32(0)),
		"binary value":       be('I', uint32(1), 'N', uint16(1), 'b', uint32(1), byte(1)),
		"insert with an old": be('I', uint32(1), 'K', tuple("1")),
		"delete with a new":  be('D', uint32(1), 'N', tuple("1")),
		"commit flags":       be('C', byte(1), uint64(1), uint64(2), uint64(5)),
	} {
		if err := m.parse(b); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func FuzzMessages(f *testing.F) {
	for _, b := range samples {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m message
		if m.parse(b) != nil {
			return
		}
		for _, tup := range [][]byte{m.old, m.new} {
			if tup == nil {
				continue
			}
			c := cursor{b: tup}
			if again := c.tuple(); c.short || len(again) != len(tup) {
				t.Fatalf("a row of %d bytes reads as one of %d", len(tup), len(again))
			}
		}
	})
}

func TestTextBecomesTheCanonicalValue(t *testing.T) {
	for _, c := range []struct {
		kind       change.Kind
		text, want string
	}{
		{change.Int, "-9223372036854775808", "-9223372036854775808"}, {change.Bool, "t", "t"}, {change.Bool, "f", "f"},
		{change.Float32, "123456.79", "123456.79"}, {change.Float64, "5e-324", "5e-324"}, {change.Float64, "NaN", "NaN"}, {change.Float64, "-Infinity", "-Inf"}, {change.Float64, "-0", "-0"},
		{change.Bytes, `\x00ff`, "00ff"}, {change.Bytes, `\x`, ""},
		{change.Timestamp, "2024-01-01 00:00:00.5+00", "2024-01-01 00:00:00.5"}, {change.Timestamp, "0044-03-15 12:00:00+00 BC", "0044-03-15 12:00:00 BC"},
		{change.Timestamp, "infinity", "infinity"}, {change.Timestamp, "-infinity", "-infinity"}, {change.Decimal, "NaN", "NaN"}, {change.Text, "{1,NULL}", "{1,NULL}"},
	} {
		v, _, err := appendValue(c.kind, []byte(c.text), nil)
		if err != nil || v.Kind != c.kind || v.String() != c.want {
			t.Errorf("%s %q is %s %q, %v; want %q", c.kind, c.text, v.Kind, v, err, c.want)
		}
	}
	for kind, text := range map[change.Kind]string{change.Int: "1.5", change.Bool: "true", change.Bytes: "ab", change.Timestamp: "2024-01-01 00:00:00+05:30", change.Absent: "x"} {
		if v, _, err := appendValue(kind, []byte(text), nil); err == nil {
			t.Errorf("%s %q is taken as %v", kind, text, v)
		}
	}
}

func TestAPositionIsReadAsItWasWritten(t *testing.T) {
	for _, p := range []position{{lsn: 1}, {lsn: 0x16_B374D848}, {lsn: 5, in: 0xFFFF_FFFF_FFFF_FFFF, row: 7}} {
		if got, err := parsePosition(p.String()); err != nil || got != p {
			t.Errorf("%s is read as %v, %v", p, got, err)
		}
	}
	for _, s := range []string{"", "gtid:x", "lsn:1", "lsn:1/2;row=1", "lsn:1/2;in=3/4", "lsn:1/2;x=1", "lsn:1/123456789"} {
		if p, err := parsePosition(s); err == nil || !strings.Contains(err.Error(), s) {
			t.Errorf("%q is read as %v, %v", s, p, err)
		}
	}
	for _, c := range []struct {
		at, p string
		want  bool
	}{
		{"lsn:0/10", "lsn:0/10", true}, {"lsn:0/F", "lsn:0/10", false}, {"lsn:0/10;in=0/20;row=5", "lsn:0/10", true}, {"lsn:0/10;in=0/20;row=5", "lsn:0/10;in=0/20;row=6", false},
		{"lsn:0/10;in=0/20;row=6", "lsn:0/10;in=0/20;row=6", true}, {"lsn:0/28", "lsn:0/10;in=0/20;row=6", true}, {"lsn:0/10", "lsn:0/10;in=0/20;row=6", false}, {"lsn:0/10;in=0/20;row=5", "lsn:0/28", false},
	} {
		at, _ := parsePosition(c.at)
		p, _ := parsePosition(c.p)
		if at.covers(p) != c.want {
			t.Errorf("%s covers %s: %v", at, p, !c.want)
		}
	}
}
