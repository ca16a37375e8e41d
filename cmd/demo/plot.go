package main

import (
	"fmt"
	"strings"
	"time"
)

// bin is a column of a plot: the sales that each database acknowledged in a stretch of time.
type bin struct{ old, fresh int }

// bins groups the slots from one to before another.
func (t *timeline) bins(from, to, each int) (out []bin) {
	for ; from < to; from += each {
		out = append(out, bin{t.between(source, from, from+each), t.between(target, from, from+each)})
	}
	return out
}

var eighths = []rune(" ▁▂▃▄▅▆▇█")

// columns draws bins as columns on some lines, as high as all of them for most sales. Any sale is seen; who sold more gives a column its colour.
func columns(b *brush, bins []bin, height, most int) []string {
	lines := make([]string, height)
	for i := range lines {
		floor := (height - 1 - i) * 8 // eighths of a line below this one
		var s strings.Builder
		for _, c := range bins {
			level := 0
			if n := c.old + c.fresh; n > 0 {
				level = max(1, min(n*height*8/max(most, 1), height*8))
			}
			at := source
			if c.fresh > c.old {
				at = target
			}
			if level <= floor {
				s.WriteByte(' ')
			} else {
				s.WriteString(b.paint(b.of(at), string(eighths[min(level-floor, 8)])))
			}
		}
		lines[i] = s.String()
	}
	return lines
}

// recent plots the last sales, half a second a column. The height stands for a quarter more than the rate.
func (t *timeline) recent(b *brush, wide, height, rate int) []string {
	const stretch = 500 * time.Millisecond
	const each = int(stretch / slot)
	to := t.slotOf(time.Now()) / each * each
	most := rate * 5 / 4 * int(stretch/time.Millisecond) / 1000
	return columns(b, t.bins(to-wide*each, to, each), height, most)
}

// perSecond is what was sold in the last second.
func (t *timeline) perSecond() int {
	now := t.slotOf(time.Now())
	from := now - int(time.Second/slot)
	return t.between(source, from, now) + t.between(target, from, now)
}

// aroundTheTurn plots the sales before, in and after the pause, which takes about a fifth of the width.
func (t *timeline) aroundTheTurn(b *brush, height, rate int) []string {
	wide := max(40, min(b.wide, 94)-4)
	last, first, ok := t.turn()
	if !ok {
		return nil
	}
	pause := first - last - 1 // slots without a sale
	each := max(1, pause*5/wide)
	before := (wide - pause/each) / 2
	twice := 2 * rate * each * int(slot/time.Millisecond) / 1000
	lines := columns(b, t.bins(last+1-before*each, last+1+(wide-before)*each, each), height, twice)
	lines = append(lines, b.paint(dim, strings.Repeat("─", wide)))
	legend := fmt.Sprintf("%-*s", before, "on MySQL")
	caption := fmt.Sprintf("%d ms", t.pause().Milliseconds())
	lines = append(lines, b.paint(b.of(source), legend)+b.paint(bold, caption)+
		b.paint(b.of(target), fmt.Sprintf("%*s", wide-before-len(caption), "on PostgreSQL")))
	return append(lines, b.paint(dim, fmt.Sprintf("acknowledged sales, a column is %d ms", time.Duration(each)*slot/time.Millisecond)))
}
