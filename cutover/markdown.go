package cutover

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Markdown renders the report for people.
func (r *Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s of %s\n\nVerdict: **%s**", r.Title(), r.Migration, r.Verdict)
	if r.Attempt > 0 {
		fmt.Fprintf(&b, " (attempt %d), %s", r.Attempt, r.Direction)
	}
	b.WriteString("\n\n")
	if r.Error != nil {
		fmt.Fprintf(&b, "Why: %s\n\n", *r.Error)
	}
	r.pauses(&b)
	findings(&b, "Reasons", r.Reasons)
	findings(&b, "Warnings", r.Warnings)
	r.around(&b)
	section(&b, "Steps", "| step | started (UTC) | took ms | outcome | evidence |\n|---|---|---:|---|---|", r.Steps, func(s ReportStep) string {
		return fmt.Sprintf("%s | %s | %d | %s | `%s`", cell(s.Name), clock(s.StartedAt), s.TookMS, s.Outcome, cell(compact(s.Evidence)))
	})
	section(&b, "Tables", "| source | target | source rows | target rows | differences | verified (UTC) | digest |\n|---|---|---:|---:|---:|---|---|", r.Tables, func(t TableResult) string {
		verified := ""
		if t.VerifiedAt != nil {
			verified = clock(*t.VerifiedAt)
		}
		return fmt.Sprintf("%s | %s | %d | %d | %d | %s | %s", cell(t.Source), cell(t.Target), t.SourceRows, t.TargetRows, t.Differences, verified, t.Digest)
	})
	section(&b, "Differences", "| table | key | column | source | target |\n|---|---|---|---|---|", r.Differences, func(d Difference) string {
		return fmt.Sprintf("%s | %s | %s | %s | %s", cell(d.Table), cell(d.Key), cell(d.Column), cell(d.Source), cell(d.Target))
	})
	section(&b, "Sequences", "| name | set to |\n|---|---:|", r.Sequences, func(s ReportSequence) string { return fmt.Sprintf("%s | %s", cell(s.Name), s.SetTo) })
	section(&b, "Guards", "| guard | measured | decided | at (UTC) |\n|---|---|---|---|", r.Guards, func(g Guard) string {
		return fmt.Sprintf("%s | %s | %s | %s", cell(g.Guard), cell(g.Value), cell(g.Decided), g.At.UTC().Format("2006-01-02 15:04:05.000"))
	})
	section(&b, "Values altered by rule", "| table | column | rule | rows |\n|---|---|---|---:|", r.Lossy, func(l Lossy) string {
		return fmt.Sprintf("%s | %s | %s | %d", cell(l.Table), cell(l.Column), cell(l.Rule), l.Rows)
	})
	return b.String()
}

// Title says what was tried.
func (r *Report) Title() string {
	if r.Direction == reverse {
		return "Rollback"
	}
	return "Cutover"
}

func (r *Report) pauses(b *strings.Builder) {
	write, client := "", ""
	if e := r.PredictionError; e != nil {
		write, client = fmt.Sprintf("%+d (%+d %%)", e.WriteMS, e.WritePercent), fmt.Sprintf("%+d (%+d %%)", e.ClientMS, e.ClientPercent)
	}
	b.WriteString("| ms | was | predicted | error |\n|---|---:|---:|---:|\n")
	fmt.Fprintf(b, "| write pause | %d | %d | %s |\n", r.WritePauseMS, r.PredictedPauseMS, write)
	fmt.Fprintf(b, "| client pause | %d | %d | %s |\n", r.ClientPauseMS, r.PredictedClientPauseMS, client)
	if n := r.RefusedWrites; n != nil {
		fmt.Fprintf(b, "\nWrites that the side left has refused since: %d\n", *n)
	}
}

func findings(b *strings.Builder, title string, all []Finding) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n", title)
	for _, f := range all {
		fmt.Fprintf(b, "- `%s` %s: %s. %s\n", f.Code, f.Object, f.Reason, f.Remedy)
	}
}

// section is a table with a title, where there is anything in it.
func section[T any](b *strings.Builder, title, head string, rows []T, row func(T) string) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n", title, head)
	for _, v := range rows {
		fmt.Fprintf(b, "| %s |\n", row(v))
	}
}

// sparks is how wide a line of many samples is.
const sparks = 64

// around draws the samples, each line to its own height.
func (r *Report) around(b *strings.Builder) {
	if len(r.Samples) < 2 {
		return
	}
	first, last, width := r.Samples[0].At, r.Samples[len(r.Samples)-1].At, min(sparks, len(r.Samples))
	column := func(at time.Time) int {
		return min(width-1, max(0, int(int64(width)*int64(at.Sub(first))/int64(last.Sub(first)+1))))
	}
	lag, captured, applied := make([]float64, width), make([]float64, width), make([]float64, width)
	for _, s := range r.Samples {
		i := column(s.At)
		if s.LagSeconds != nil {
			lag[i] = max(lag[i], *s.LagSeconds)
		}
		captured[i], applied[i] = max(captured[i], s.CapturedPerS), max(applied[i], s.AppliedPerS)
	}
	fmt.Fprintf(b, "\n## Around the pause\n\n```\nfrom       %s to %s UTC\n", clock(first), clock(last))
	fmt.Fprintf(b, "lag        %s\ncaptured   %s\napplied    %s\n", spark(lag, "%.3g s"), spark(captured, "%.0f rows/s"), spark(applied, "%.0f rows/s"))
	if from, to, ok := r.Pause(); ok {
		i := column(from)
		fmt.Fprintf(b, "pause      %s%s\n", strings.Repeat(" ", i), strings.Repeat("^", column(to)-i+1))
	}
	b.WriteString("```\n")
}

// spark draws values as a line of blocks, and names the highest.
func spark(values []float64, format string) string {
	const blocks = "▁▂▃▄▅▆▇█"
	steps := []rune(blocks)
	highest := 0.0
	for _, v := range values {
		highest = max(highest, v)
	}
	var b strings.Builder
	for _, v := range values {
		i := 0
		if highest > 0 {
			i = int(v / highest * float64(len(steps)-1))
		}
		b.WriteRune(steps[i])
	}
	return fmt.Sprintf("%s  at most "+format, b.String(), highest)
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }

// compact writes evidence on one line: a client may have indented it.
func compact(evidence json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Compact(&b, evidence); err != nil {
		return string(evidence)
	}
	return b.String()
}

// cell makes a value safe inside a table cell.
func cell(s string) string {
	s = strings.NewReplacer("|", "\\|", "\n", " ", "\r", " ", "`", "'").Replace(s)
	if len(s) > 400 {
		s = s[:400] + "..."
	}
	return s
}
