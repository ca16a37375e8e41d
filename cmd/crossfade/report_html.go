package main

import (
	"bytes"
	"fmt"
	"html/template"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
)

// reportHTML renders a report as one page that needs nothing else.
func reportHTML(r cutover.Report) ([]byte, error) {
	var b bytes.Buffer
	if err := reportPage.Execute(&b, r); err != nil {
		return nil, fmt.Errorf("render the report: %w", err)
	}
	return b.Bytes(), nil
}

var reportPage = template.Must(template.New("report").Funcs(template.FuncMap{
	"clock": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") },
	"text":  func(b []byte) string { return string(b) },
}).Parse(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>{{if eq .Direction "reverse"}}Rollback{{else}}Cutover{{end}} of {{.Migration}}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1b1f24 }
table { border-collapse: collapse; margin: 0 0 1.5rem }
td { overflow-wrap: anywhere }
th, td { border: 1px solid #d0d7de; padding: .3rem .6rem; text-align: left; vertical-align: top }
td.n { text-align: right; font-variant-numeric: tabular-nums }
code { font-size: .85em; overflow-wrap: anywhere }
</style>
<h1>{{if eq .Direction "reverse"}}Rollback{{else}}Cutover{{end}} of {{.Migration}}</h1>
<p>Verdict: <strong>{{.Verdict}}</strong>{{if .Attempt}} (attempt {{.Attempt}}){{end}}</p>
{{with .Error}}<p>Why: {{.}}</p>{{end}}
<table>
<tr><th></th><th>ms</th></tr>
<tr><td>write pause</td><td class="n">{{.WritePauseMS}}</td></tr>
<tr><td>client pause</td><td class="n">{{.ClientPauseMS}}</td></tr>
<tr><td>predicted pause</td><td class="n">{{.PredictedPauseMS}}</td></tr>
</table>
{{define "findings"}}<ul>{{range .}}<li><code>{{.Code}}</code> {{.Object}}: {{.Reason}}. {{.Remedy}}</li>{{end}}</ul>{{end}}
{{with .Reasons}}<h2>Reasons</h2>{{template "findings" .}}{{end}}
{{with .Warnings}}<h2>Warnings</h2>{{template "findings" .}}{{end}}
{{with .Steps}}<h2>Steps</h2>
<table><tr><th>step</th><th>started (UTC)</th><th>took ms</th><th>outcome</th><th>evidence</th></tr>
{{range .}}<tr><td>{{.Name}}</td><td>{{clock .StartedAt}}</td><td class="n">{{.TookMS}}</td><td>{{.Outcome}}</td><td><code>{{text .Evidence}}</code></td></tr>
{{end}}</table>{{end}}
{{with .Tables}}<h2>Tables</h2>
<table><tr><th>source</th><th>target</th><th>source rows</th><th>target rows</th><th>differences</th><th>digest</th></tr>
{{range .}}<tr><td>{{.Source}}</td><td>{{.Target}}</td><td class="n">{{.SourceRows}}</td><td class="n">{{.TargetRows}}</td><td class="n">{{.Differences}}</td><td><code>{{.Digest}}</code></td></tr>
{{end}}</table>{{end}}
{{with .Differences}}<h2>Differences</h2>
<table><tr><th>table</th><th>key</th><th>column</th><th>source</th><th>target</th></tr>
{{range .}}<tr><td>{{.Table}}</td><td>{{.Key}}</td><td>{{.Column}}</td><td>{{.Source}}</td><td>{{.Target}}</td></tr>
{{end}}</table>{{end}}
{{with .Sequences}}<h2>Sequences</h2>
<table><tr><th>name</th><th>set to</th></tr>
{{range .}}<tr><td>{{.Name}}</td><td class="n">{{.SetTo}}</td></tr>
{{end}}</table>{{end}}
{{with .Lossy}}<h2>Values altered by rule</h2>
<table><tr><th>table</th><th>column</th><th>rule</th><th>rows</th></tr>
{{range .}}<tr><td>{{.Table}}</td><td>{{.Column}}</td><td>{{.Rule}}</td><td class="n">{{.Rows}}</td></tr>
{{end}}</table>{{end}}
</html>
`))
