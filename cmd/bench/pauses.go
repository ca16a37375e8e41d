package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Goals for a pause, to be met by all but two of thirty.
const (
	writePauseGoal = 300 * time.Millisecond
	silenceGoal    = time.Second
)

// write prints the pauses of a series, cutovers and rollbacks apart.
func (s series) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s, %d rows, %.0f transactions/s of %.0f at the peak\n  %-36s %7s %7s %7s  %s\n", s.Pair, s.Rows, s.Rate, s.Peak, "ms", "median", "2nd", "most", "goal")
	for _, verb := range []string{"cutover", "rollback"} {
		var of []move
		failed := 0
		for _, m := range s.Moves {
			if m.Verb == verb {
				of = append(of, m)
				failed += m.Failed
			}
		}
		line := func(name string, f func(move) time.Duration, goal time.Duration) {
			v := sorted(of, f)
			text := ""
			if goal > 0 {
				within := 0
				for _, d := range v {
					if d < goal {
						within++
					}
				}
				text = fmt.Sprintf("%d of %d under %d", within, len(v), goal.Milliseconds())
			}
			fmt.Fprintf(b, "  %-36s %7d %7d %7d  %s\n", fmt.Sprintf("%d %ss, %s", len(v), verb, name), v[len(v)/2].Milliseconds(), v[max(len(v)-2, 0)].Milliseconds(), v[len(v)-1].Milliseconds(), text)
		}
		line("fence to open", func(m move) time.Duration { return m.WritePause }, writePauseGoal)
		line("no write for", func(m move) time.Duration { return m.Silence }, silenceGoal)
		line("slowest write", func(m move) time.Duration { return m.Slowest }, 0)
		line("prediction off by", func(m move) time.Duration { return (m.Predicted - m.WritePause).Abs() }, 0)
		fmt.Fprintf(b, "  %-36s %7d\n", verb+"s, transactions that failed", failed)
	}
}

func sorted(of []move, f func(move) time.Duration) []time.Duration {
	var v []time.Duration
	for _, m := range of {
		v = append(v, f(m))
	}
	slices.Sort(v)
	return v
}
