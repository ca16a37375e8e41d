package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/crossfade-io/crossfade/internal/control"
)

// screen draws a status for people.
func screen(s control.Status, colour bool) string {
	var b strings.Builder
	paint := func(code, text string) string {
		if !colour {
			return text
		}
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
	state := map[string]string{"failed": "1;31", "completed": "1;32"}[s.State]
	if state == "" {
		state = "1;36"
	}
	fmt.Fprintf(&b, "%s  %s", paint("1", s.Name), paint(state, s.State))
	if p := phaseOf(s); p != "" {
		fmt.Fprintf(&b, " · %s", p)
	}
	if s.Paused {
		b.WriteString(" · " + paint("33", "paused"))
	}
	if s.LagSeconds != nil {
		fmt.Fprintf(&b, " · lag %.1f s", *s.LagSeconds)
	}
	b.WriteByte('\n')
	if s.Error != nil {
		b.WriteString(paint("31", "! "+*s.Error) + "\n")
	}
	for _, l := range s.Links {
		what := "no connection to the " + l.To
		if l.To == "finish" {
			what = "indexes, constraints and the first verification are held up"
		}
		fmt.Fprintf(&b, "%s\n", paint("33", fmt.Sprintf("! %s since %s UTC: %s", what, l.Since.UTC().Format(time.TimeOnly), l.Error)))
	}
	sn := s.Snapshot
	if sn.TablesDone < sn.TablesTotal || phaseOf(s) == "snapshot" {
		fmt.Fprintf(&b, "snapshot  %s  %s of about %s rows, %d of %d tables%s\n", bar(float64(sn.RowsDone), float64(max(sn.RowsEstimated, sn.RowsDone, 1)), 30),
			count(sn.RowsDone), count(max(sn.RowsEstimated, sn.RowsDone)), sn.TablesDone, sn.TablesTotal, eta(sn.ETASeconds))
	}
	streamLine(&b, s.Stream, paint)
	if v := s.Verify; v.State != "" {
		fmt.Fprintf(&b, "verify    %s, %s, %s, %s touched", v.State, many(v.RowsVerified, "row"), many(int64(v.Differences), "difference"), many(int64(v.TouchedKeys), "key"))
		if v.LastCleanAt != nil {
			fmt.Fprintf(&b, ", clean at %s UTC", v.LastCleanAt.UTC().Format(time.DateTime))
		}
		b.WriteByte('\n')
	}
	if s.Cutover.Step != nil {
		fmt.Fprintf(&b, "cutover   attempt %d, %s\n", s.Cutover.Epoch, *s.Cutover.Step)
	}
	for _, h := range s.Held {
		b.WriteString(paint("31", fmt.Sprintf("held      %s at %s: %s; %s", h.Table, h.Key, h.Reason, h.Remedy)) + "\n")
	}
	guardLines(&b, s.Guards, paint)
	tableLines(&b, s.Tables, paint)
	return b.String()
}

// guardLines tell what guards have decided and is in force, and the last decision of all.
func guardLines(b *strings.Builder, guards []control.GuardStatus, paint func(code, text string) string) {
	for i, g := range guards {
		if !g.Stands && i < len(guards)-1 {
			continue
		}
		line := fmt.Sprintf("guard     %s: %s at %s, %s UTC", g.Guard, g.Decided, g.Value, g.At.UTC().Format(time.DateTime))
		switch {
		case g.Stands && g.Decided == "hold":
			line = paint("31", line+"; `crossfade resume` ends it")
		case g.Stands:
			line = paint("33", line+", and it lasts")
		}
		b.WriteString(line + "\n")
	}
}

// streamLine says how far the target is behind in the stream, and how long the stream has room. Without a daemon nobody knows.
func streamLine(b *strings.Builder, st control.StreamStatus, paint func(code, text string) string) {
	if st.MaxBytes == 0 {
		return
	}
	fmt.Fprintf(b, "stream    %s ahead of the target, %s of %s", many(int64(st.Last-min(st.Applied, st.Last)), "frame"), size(st.Bytes), size(st.MaxBytes))
	if st.Full {
		b.WriteString(", " + paint("33", "full: capture waits for room"))
	} else if st.RoomSeconds != nil {
		b.WriteString(", room for " + span(*st.RoomSeconds))
	}
	b.WriteByte('\n')
}

// nameWidth is the widest name that stands beside its numbers; a longer one has a line of its own.
const nameWidth = 44

func tableName(t control.TableStatus) string {
	if t.Target == t.Source {
		return t.Source
	}
	return t.Source + " > " + t.Target
}

func tableLines(b *strings.Builder, tables []control.TableStatus, paint func(code, text string) string) {
	if len(tables) == 0 {
		return
	}
	width := 0
	for _, t := range tables {
		if n := utf8.RuneCountInString(tableName(t)); n <= nameWidth {
			width = max(width, n)
		}
	}
	width = max(width, 20)
	fmt.Fprintf(b, "\n%-*s %-8s %12s %10s %10s %10s %12s\n", width, "table", "state", "copied", "inserted", "updated", "deleted", "verified")
	for _, t := range tables {
		name := tableName(t)
		if utf8.RuneCountInString(name) > nameWidth {
			b.WriteString(name + "\n")
			name = ""
		}
		line := fmt.Sprintf("%-*s %-8s %12s %10s %10s %10s %12s", width, name, t.State, count(t.RowsCopied), count(t.Inserted), count(t.Updated), count(t.Deleted), count(t.RowsVerified))
		if t.Differences > 0 {
			line += paint("31", fmt.Sprintf("  %d differ", t.Differences))
		}
		b.WriteString(line + "\n")
	}
}

// bar draws a progress bar of a width.
func bar(done, total float64, width int) string {
	n := int(done / total * float64(width))
	n = max(0, min(width, n))
	return "[" + strings.Repeat("█", n) + strings.Repeat("░", width-n) + fmt.Sprintf("] %3.0f%%", 100*done/total)
}

func eta(s *float64) string {
	if s == nil {
		return ""
	}
	return ", about " + span(*s+0.5) + " left"
}

// span writes seconds as 1h30m0s, and what is longer than two days in days: nobody plans by its minutes.
func span(seconds float64) string {
	const day = 24 * 60 * 60
	if seconds > 2*day {
		return many(int64(min(seconds/day, 1e6)), "day")
	}
	return (time.Duration(seconds) * time.Second).String()
}

// many writes 1 row, 2 rows.
func many(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return count(n) + " " + what + "s"
}

// count writes 1234567 as 1,234,567.
func count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func size(n int64) string {
	const units = "KMGTP"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, u := float64(n)/1024, 0
	for f >= 1024 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	return fmt.Sprintf("%.1f %ciB", f, units[u])
}
