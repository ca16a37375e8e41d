package main

import (
	"fmt"
	"strings"
	"time"

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
		fmt.Fprintf(&b, "%s\n", paint("33", fmt.Sprintf("! no connection to the %s since %s: %s", l.To, l.Since.Format(time.TimeOnly), l.Error)))
	}
	sn := s.Snapshot
	if sn.TablesDone < sn.TablesTotal || phaseOf(s) == "snapshot" {
		fmt.Fprintf(&b, "snapshot  %s  %s of about %s rows, %d of %d tables%s\n", bar(float64(sn.RowsDone), float64(max(sn.RowsEstimated, sn.RowsDone, 1)), 30),
			count(sn.RowsDone), count(max(sn.RowsEstimated, sn.RowsDone)), sn.TablesDone, sn.TablesTotal, eta(sn.ETASeconds))
	}
	streamLine(&b, s.Stream, paint)
	if v := s.Verify; v.State != "" {
		fmt.Fprintf(&b, "verify    %s, %s rows, %d differences, %d keys touched", v.State, count(v.RowsVerified), v.Differences, v.TouchedKeys)
		if v.LastCleanAt != nil {
			fmt.Fprintf(&b, ", clean at %s", v.LastCleanAt.Format(time.DateTime))
		}
		b.WriteByte('\n')
	}
	if s.Cutover.Step != nil {
		fmt.Fprintf(&b, "cutover   attempt %d, %s\n", s.Cutover.Epoch, *s.Cutover.Step)
	}
	for _, h := range s.Held {
		b.WriteString(paint("31", fmt.Sprintf("held      %s at %s: %s; %s", h.Table, h.Key, h.Reason, h.Remedy)) + "\n")
	}
	tableLines(&b, s.Tables, paint)
	return b.String()
}

// streamLine says how far the target is behind in the stream, and how long the stream has room. Without a daemon nobody knows.
func streamLine(b *strings.Builder, st control.StreamStatus, paint func(code, text string) string) {
	if st.MaxBytes == 0 {
		return
	}
	fmt.Fprintf(b, "stream    %d frames ahead of the target, %s of %s", st.Last-min(st.Applied, st.Last), size(st.Bytes), size(st.MaxBytes))
	if st.Full {
		b.WriteString(", " + paint("33", "full: capture waits for room"))
	} else if st.RoomSeconds != nil {
		fmt.Fprintf(b, ", room for %s", (time.Duration(*st.RoomSeconds) * time.Second).String())
	}
	b.WriteByte('\n')
}

func tableLines(b *strings.Builder, tables []control.TableStatus, paint func(code, text string) string) {
	if len(tables) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%-34s %-8s %12s %10s %10s %10s %12s\n", "table", "state", "copied", "inserted", "updated", "deleted", "verified")
	for _, t := range tables {
		name := t.Source
		if t.Target != t.Source {
			name += " > " + t.Target
		}
		line := fmt.Sprintf("%-34s %-8s %12s %10s %10s %10s %12s", name, t.State, count(t.RowsCopied), count(t.Inserted), count(t.Updated), count(t.Deleted), count(t.RowsVerified))
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
	return ", about " + (time.Duration(*s+0.5) * time.Second).String() + " left"
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
