package mysql

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// position is a place in the binlog: what has been read, and where in the transaction after it.
//
// Its text is what the rest of crossfade carries around without looking into it:
//
//	gtid:<set>[;in=<gtid>;row=<n>][;xa=<xid>+<xid>]
//	file:<name>:<pos>[;on=<server>][;passing=1][;gtid=<domain>-<server>-<n>,...][;upto=...][;part=<gtid>][;row=<n>][;xa=...]
//
// A place inside a transaction is the position before that transaction (so that it is read again from its start) and the number of its rows
// that are done, counted over all rows as logged, whatever their table. That number means the same on every reading, whatever is selected.
type position struct {
	byFile bool
	set    gtidSet // transactions read whole
	file   string  // or the file and the offset after the last transaction read whole
	pos    uint64

	// domains of MariaDB: the last transaction read of each. They say which history it is, and on another server where to go on.
	domains []domainGTID
	// upto are GTIDs that come with it or shortly after: of a place that shall be reached, where to ask for those before it would have the server read its file.
	upto    []domainGTID
	on      string     // stands for the server whose file it is
	passing bool       // at that offset not all of domains has come yet; see mariadb_follow.go
	part    domainGTID // the transaction that has been read in part

	in  gtid   // the transaction that has been read in part; not used by file
	row uint64 // rows of it that are done

	// prepared holds the XA transactions that have been prepared and touch no selected table. Their XA COMMIT may pass, also after a restart.
	prepared []string
}

func filePosition(file string, pos uint64) position {
	return position{byFile: true, file: file, pos: pos}
}

func parsePosition(s string) (position, error) {
	p, err := readPosition(s)
	if err != nil {
		return p, fmt.Errorf("source position %q: %w", s, err)
	}
	return p, nil
}

func readPosition(s string) (position, error) {
	var p position
	var err error
	fields := strings.Split(s, ";")
	kind, rest, _ := strings.Cut(fields[0], ":")
	switch kind {
	case "gtid":
		if p.set, err = parseGTIDSet(rest); err != nil {
			return p, err
		}
	case "file":
		colon := strings.LastIndexByte(rest, ':')
		if colon < 1 {
			return p, fmt.Errorf("%q is not file:<name>:<offset>", fields[0])
		}
		p.byFile, p.file = true, rest[:colon]
		if p.pos, err = strconv.ParseUint(rest[colon+1:], 10, 64); err != nil {
			return p, fmt.Errorf("offset %q is no number", rest[colon+1:])
		}
	default:
		return p, fmt.Errorf("it starts with neither gtid: nor file: (written by another version of crossfade, or for another engine)")
	}
	for _, f := range fields[1:] {
		key, value, _ := strings.Cut(f, "=")
		switch key {
		case "in":
			p.in, err = parseGTID(value)
		case "gtid":
			p.domains, err = parseDomains(value)
		case "upto":
			p.upto, err = parseDomains(value)
		case "on":
			p.on = value
		case "passing":
			p.passing = true
		case "part":
			var one []domainGTID
			if one, err = parseDomains(value); err == nil {
				p.part = one[0]
			}
		case "row":
			p.row, err = strconv.ParseUint(value, 10, 64)
		case "xa":
			p.prepared = strings.Split(value, "+")
		default:
			err = fmt.Errorf("unknown part %q", f)
		}
		if err != nil {
			return p, err
		}
	}
	if !p.byFile && (p.domains != nil || p.upto != nil || p.on != "" || p.passing || p.part.n > 0) {
		return p, fmt.Errorf("what belongs to a file beside a set of transactions")
	}
	if p.byFile && !p.in.isZero() || !p.byFile && p.in.isZero() != (p.row == 0) {
		return p, fmt.Errorf("transaction and row do not belong together")
	}
	return p, nil
}

func (p *position) String() string {
	b := make([]byte, 0, 96)
	if p.byFile {
		b = append(append(append(b, "file:"...), p.file...), ':')
		b = strconv.AppendUint(b, p.pos, 10)
		if p.on != "" {
			b = append(append(b, ";on="...), p.on...)
		}
		if p.passing {
			b = append(b, ";passing=1"...)
		}
		if len(p.domains) > 0 {
			b = appendDomains(append(b, ";gtid="...), p.domains)
		}
		if len(p.upto) > 0 {
			b = appendDomains(append(b, ";upto="...), p.upto)
		}
	} else {
		b = p.set.appendText(append(b, "gtid:"...))
	}
	if p.row > 0 {
		if !p.byFile {
			b = p.in.appendText(append(b, ";in="...))
		} else if p.part.n > 0 {
			b = appendDomains(append(b, ";part="...), []domainGTID{p.part})
		}
		b = strconv.AppendUint(append(b, ";row="...), p.row, 10)
	}
	for i, x := range p.prepared {
		if i == 0 {
			b = append(b, ";xa="...)
		} else {
			b = append(b, '+')
		}
		b = append(b, x...)
	}
	return string(b)
}

func (p *position) clone() position {
	out := *p
	out.set = p.set.clone()
	out.prepared = slices.Clone(p.prepared)
	out.domains = slices.Clone(p.domains)
	return out
}

// inside reports whether the position lies within a transaction.
func (p *position) inside() bool { return p.row > 0 }

// executed is the set of transactions of which anything has been read: what a server must have executed so that a read sees all of it.
func (p *position) executed() gtidSet {
	set := p.set.clone()
	if !p.in.isZero() {
		set.add(p.in)
	}
	return set
}

// covers reports whether p is at or past q. A place inside a transaction lies before the position after that transaction.
func (p *position) covers(q *position) (bool, error) {
	if p.byFile != q.byFile {
		return false, fmt.Errorf("source positions %s and %s cannot be compared: one is by gtid and one by file; gtid_mode was changed, start the migration again",
			p, q)
	}
	if !p.byFile {
		if !p.set.contains(&q.set) {
			return false, nil
		}
		return q.in.isZero() || p.set.has(q.in) || p.in == q.in && p.row >= q.row, nil
	}
	if p.on != q.on && p.on != "" && q.on != "" || p.passing || q.passing {
		return p.coversByDomain(q)
	}
	c, err := compareFiles(p.file, q.file)
	switch {
	case err != nil:
		return false, err
	case c != 0:
		return c > 0, nil
	case p.pos != q.pos:
		return p.pos > q.pos, nil
	default:
		return p.row >= q.row, nil
	}
}

// compareFiles orders binlog files by their number. Files of another name belong to another history.
func compareFiles(a, b string) (int, error) {
	if a == b {
		return 0, nil
	}
	an, ai, aok := cutNumber(a)
	bn, bi, bok := cutNumber(b)
	if !aok || !bok || an != bn {
		return 0, fmt.Errorf("binlog files %q and %q cannot be compared: the binlog was renamed, start the migration again", a, b)
	}
	switch {
	case ai < bi:
		return -1, nil
	case ai > bi:
		return 1, nil
	default:
		return 0, nil
	}
}

func cutNumber(file string) (base string, n uint64, ok bool) {
	dot := strings.LastIndexByte(file, '.')
	if dot < 0 {
		return "", 0, false
	}
	n, err := strconv.ParseUint(file[dot+1:], 10, 64)
	return file[:dot], n, err == nil
}

// coversText is covers for the text of two positions.
func coversText(at, p string) (bool, error) {
	a, err := parsePosition(at)
	if err != nil {
		return false, err
	}
	q, err := parsePosition(p)
	if err != nil {
		return false, err
	}
	return a.covers(&q)
}
