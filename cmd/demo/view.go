package main

import (
	"fmt"
	"strings"

	"github.com/crossfade-io/crossfade/internal/control"
)

// picture is all there is to see at the moment.
func (d *demo) picture(b *brush) []string {
	lines := []string{"", b.paint(bold, "  A shop moves from MySQL to PostgreSQL while it sells"), ""}
	for _, s := range d.scenes {
		lines = append(lines, s.line(b))
	}
	if !d.open.Load() {
		return lines
	}
	lines = append(lines, "")
	for i, l := range d.app.sales.recent(b, max(20, min(b.wide, 100)-36), 3, d.rate) {
		lines = append(lines, "    "+[]string{"sales    ", "a second ", fmt.Sprintf("%-9d", d.app.sales.perSecond())}[i]+l+"  "+d.salesNote(b, i))
	}
	if st := d.status.Load(); st != nil {
		lines = append(append(lines, ""), tableLines(b, st)...)
	}
	return lines
}

func (d *demo) salesNote(b *brush, line int) string {
	old, fresh := d.app.sales.total(source), d.app.sales.total(target)
	switch line {
	case 0:
		return b.paint(b.of(source), fmt.Sprintf("MySQL      %8s", count(old)))
	case 1:
		return b.paint(b.of(target), fmt.Sprintf("PostgreSQL %8s", count(fresh)))
	default:
		return d.lag("lag        %6.1f s")
	}
}

// lag is how far the new database is behind, while it follows the old one.
func (d *demo) lag(format string) string {
	st := d.status.Load()
	if st == nil || st.LagSeconds == nil || d.app.sales.total(target) > 0 {
		return ""
	}
	return fmt.Sprintf(format, *st.LagSeconds)
}

// tableLines shows every table's copy, the changes that came after it, and its verification.
func tableLines(b *brush, s *control.Status) []string {
	lines := []string{b.paint(dim, fmt.Sprintf("   %-10s%-18s%9s%9s%9s  %s", "", "copied", "inserted", "updated", "deleted", "compared"))}
	for _, t := range s.Tables {
		_, name, _ := strings.Cut(t.Source, ".")
		rows := max(t.RowsEstimate, t.RowsCopied)
		toCompare := rows + t.Inserted - t.Deleted
		if s.Verify.LastCleanAt != nil {
			toCompare = t.RowsVerified // all there were
		}
		lines = append(lines, fmt.Sprintf("   %-10s%s%9s%9s%9s%9s  %s%9s", name, bar(b, green, t.RowsCopied, rows, 9), count(t.RowsCopied),
			count(t.Inserted), count(t.Updated), count(t.Deleted), bar(b, cyan, t.RowsVerified, toCompare, 9), count(t.RowsVerified)))
	}
	return lines
}

// told is what goes on, in a line.
func (d *demo) told() string {
	s := d.playing()
	if s == nil {
		return ""
	}
	line := s.plain()
	if n := d.app.sales.perSecond(); n > 0 {
		line += fmt.Sprintf(" | %d sales a second, %s acknowledged", n, count(d.app.sales.total(source)+d.app.sales.total(target)))
	}
	return line + d.lag(", lag %.1f s")
}

// bar draws how much of total is done.
func bar(b *brush, colour string, done, total int64, wide int) string {
	n := 0
	if total > 0 {
		n = int(min(done, total) * int64(wide) / total)
	}
	return b.paint(colour, strings.Repeat("━", n)) + b.paint(dim, strings.Repeat("─", wide-n))
}

// count writes 1234567 as 1,234,567.
func count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func trimLine(line []byte) string { return strings.TrimSpace(string(line)) }
