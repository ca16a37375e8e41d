package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
)

// reportHTML renders a report as one page that needs nothing else.
func reportHTML(r cutover.Report) ([]byte, error) {
	var b bytes.Buffer
	page := struct {
		*cutover.Report
		Timeline *timeline
		Plot     *plot
	}{&r, newTimeline(&r), newPlot(&r)}
	if err := reportPage.Execute(&b, page); err != nil {
		return nil, fmt.Errorf("render the report: %w", err)
	}
	return b.Bytes(), nil
}

//go:embed report.html
var reportTemplate string

var reportPage = template.Must(template.New("report").Funcs(template.FuncMap{
	"clock":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") },
	"text":     func(b json.RawMessage) string { return string(b) },
	"signed":   func(n int64) string { return fmt.Sprintf("%+d", n) },
	"one":      func(f float64) string { return fmt.Sprintf("%.1f", f) },
	"switches": switches,
}).Parse(reportTemplate))

// switchRun is a switch step as the page shows it.
type switchRun struct {
	cutover.ReportStep
	Step                string
	Active, Note, Error string
}

// switches are the runs of switch steps among the steps.
func switches(steps []cutover.ReportStep) (out []switchRun) {
	for _, s := range steps {
		name, ok := strings.CutPrefix(s.Name, "switch:")
		if !ok {
			continue
		}
		run := switchRun{ReportStep: s, Step: name}
		if err := json.Unmarshal(s.Evidence, &run); err != nil {
			run.Note = string(s.Evidence)
		}
		out = append(out, run)
	}
	return out
}
