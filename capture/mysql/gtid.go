package mysql

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// gtid names one transaction. The zero value names none: numbers start at 1.
type gtid struct {
	uuid [16]byte
	tag  string // empty for most
	n    int64
}

func (g gtid) isZero() bool { return g.n == 0 }

func (g gtid) String() string { return string(g.appendText(nil)) }

func (g gtid) appendText(dst []byte) []byte {
	dst = appendUUID(dst, g.uuid)
	if g.tag != "" {
		dst = append(append(dst, ':'), g.tag...)
	}
	return strconv.AppendInt(append(dst, ':'), g.n, 10)
}

func parseGTID(s string) (gtid, error) {
	set, err := parseGTIDSet(s)
	if err != nil {
		return gtid{}, err
	}
	if len(set.sources) != 1 || len(set.sources[0].spans) != 1 || set.sources[0].spans[0].first != set.sources[0].spans[0].last {
		return gtid{}, fmt.Errorf("%q is not one transaction", s)
	}
	src := set.sources[0]
	return gtid{uuid: src.uuid, tag: src.tag, n: src.spans[0].first}, nil
}

// span is the transactions first to last, both included.
type span struct{ first, last int64 }

// gtidSource is the part of a set that one server (and tag) has issued. Its spans are in order and do not touch.
type gtidSource struct {
	uuid  [16]byte
	tag   string
	spans []span
}

// gtidSet is a set of transactions, ordered by source. Adding the next transaction of a known source allocates nothing.
type gtidSet struct {
	sources []gtidSource
}

// parseGTIDSet reads the text form of MySQL; line breaks, as @@gtid_executed shows them, are accepted.
func parseGTIDSet(s string) (gtidSet, error) {
	var set gtidSet
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			if strings.TrimSpace(s) == "" {
				return set, nil
			}
			return set, fmt.Errorf("gtid set %q has an empty part", s)
		}
		fields := strings.Split(part, ":")
		uuid, err := parseUUID(fields[0])
		if err != nil {
			return set, fmt.Errorf("gtid set %q: %w", s, err)
		}
		tag, seen := "", false
		for _, f := range fields[1:] {
			f = strings.TrimSpace(f)
			if isTag(f) {
				tag, seen = strings.ToLower(f), false
				continue
			}
			first, last, found := strings.Cut(f, "-")
			sp := span{}
			if sp.first, err = strconv.ParseInt(first, 10, 64); err == nil {
				sp.last = sp.first
				if found {
					sp.last, err = strconv.ParseInt(last, 10, 64)
				}
			}
			if err != nil || sp.first < 1 || sp.last < sp.first {
				return set, fmt.Errorf("gtid set %q: %q is no range of transactions", s, f)
			}
			set.addSpan(uuid, tag, sp)
			seen = true
		}
		if !seen {
			return set, fmt.Errorf("gtid set %q: %q names no transactions", s, part)
		}
	}
	return set, nil
}

func isTag(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		c := s[i] | 0x20
		switch {
		case c >= 'a' && c <= 'z', s[i] == '_':
		case i > 0 && s[i] >= '0' && s[i] <= '9':
		default:
			return false
		}
	}
	return true
}

// find returns where the source is, or where it belongs.
func (s *gtidSet) find(uuid [16]byte, tag string) (int, bool) {
	for i := range s.sources {
		c := bytes.Compare(s.sources[i].uuid[:], uuid[:])
		if c == 0 {
			c = strings.Compare(s.sources[i].tag, tag)
		}
		if c >= 0 {
			return i, c == 0
		}
	}
	return len(s.sources), false
}

func (s *gtidSet) add(g gtid) { s.addSpan(g.uuid, g.tag, span{g.n, g.n}) }

func (s *gtidSet) addSpan(uuid [16]byte, tag string, n span) {
	at, ok := s.find(uuid, tag)
	if !ok {
		s.sources = slices.Insert(s.sources, at, gtidSource{uuid: uuid, tag: tag})
	}
	src := &s.sources[at]
	// Spans i to j-1 touch or overlap the new one and become one with it. The usual case is the end of the last span.
	j := len(src.spans)
	for j > 0 && src.spans[j-1].first-1 > n.last {
		j--
	}
	i := j
	for i > 0 && src.spans[i-1].last+1 >= n.first {
		i--
		n.first, n.last = min(n.first, src.spans[i].first), max(n.last, src.spans[i].last)
	}
	if i < j {
		src.spans[i] = n
		src.spans = slices.Delete(src.spans, i+1, j)
		return
	}
	src.spans = slices.Insert(src.spans, i, n)
}

func (s *gtidSet) has(g gtid) bool {
	at, ok := s.find(g.uuid, g.tag)
	return ok && s.sources[at].covers(span{g.n, g.n})
}

func (s *gtidSource) covers(n span) bool {
	for _, have := range s.spans {
		if have.first <= n.first && n.last <= have.last {
			return true
		}
	}
	return false
}

// contains reports whether every transaction of o is in s.
func (s *gtidSet) contains(o *gtidSet) bool {
	for i := range o.sources {
		src := &o.sources[i]
		at, ok := s.find(src.uuid, src.tag)
		if !ok {
			return false
		}
		for _, n := range src.spans {
			if !s.sources[at].covers(n) {
				return false
			}
		}
	}
	return true
}

// intersect returns the transactions that are in both.
func (s *gtidSet) intersect(o *gtidSet) (out gtidSet) {
	for i := range s.sources {
		src := &s.sources[i]
		at, ok := o.find(src.uuid, src.tag)
		if !ok {
			continue
		}
		for _, a := range src.spans {
			for _, b := range o.sources[at].spans {
				if first, last := max(a.first, b.first), min(a.last, b.last); first <= last {
					out.addSpan(src.uuid, src.tag, span{first, last})
				}
			}
		}
	}
	return out
}

func (s *gtidSet) clone() gtidSet {
	out := gtidSet{sources: slices.Clone(s.sources)}
	for i := range out.sources {
		out.sources[i].spans = slices.Clone(out.sources[i].spans)
	}
	return out
}

func (s *gtidSet) String() string { return string(s.appendText(nil)) }

// appendText appends the set as MySQL writes it, without line breaks.
func (s *gtidSet) appendText(dst []byte) []byte {
	for i := range s.sources {
		src := &s.sources[i]
		if i == 0 || src.uuid != s.sources[i-1].uuid {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendUUID(dst, src.uuid)
		}
		if src.tag != "" {
			dst = append(append(dst, ':'), src.tag...)
		}
		for _, n := range src.spans {
			dst = strconv.AppendInt(append(dst, ':'), n.first, 10)
			if n.last > n.first {
				dst = strconv.AppendInt(append(dst, '-'), n.last, 10)
			}
		}
	}
	return dst
}

func parseUUID(s string) (id [16]byte, err error) {
	s = strings.TrimSpace(s)
	if len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' {
		s = s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	}
	if len(s) != 32 {
		return id, fmt.Errorf("%q is no server uuid", s)
	}
	if _, err = hex.Decode(id[:], []byte(s)); err != nil {
		return id, fmt.Errorf("%q is no server uuid", s)
	}
	return id, nil
}

func appendUUID(dst []byte, id [16]byte) []byte {
	for i, n := range [5]int{4, 2, 2, 2, 6} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, id[[5]int{0, 4, 6, 8, 10}[i]:][:n])
	}
	return dst
}
