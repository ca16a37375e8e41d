package transform

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// defaultOf writes the default of a column that takes its source column's over; empty when it has none.
func (d *ddlCompiler) defaultOf(t *Table, i int) string {
	plan := &t.Columns[i]
	if plan.Source < 0 || !plan.carries || plan.program != nil {
		return ""
	}
	s := &t.Source.Columns[plan.Source]
	if s.Default == nil || s.Generated != "" {
		return ""
	}
	if t.Source.Engine == change.Postgres {
		if !plan.same {
			d.warn("default", t.Source.String()+"."+s.Name, fmt.Sprintf("the default %s is not carried over: the column has another type in the target", *s.Default), "add a default to the target column by hand, or have the application give the value")
			return ""
		}
		return d.postgresDefault(s, t.Source.String()+"."+s.Name)
	}
	if s.DefaultIsExpr {
		if out := expressionDefault(*s.Default, plan.pg); out != "" {
			return out
		}
		d.warn("default", t.Source.String()+"."+s.Name, fmt.Sprintf("the default %s is not translated", *s.Default), "add a default to the target column by hand, or have the application give the value")
		return ""
	}
	out, err := literalDefault(*s.Default, s, plan, len(d.plan.lossy))
	if err != nil {
		d.warn("default", t.Source.String()+"."+s.Name, fmt.Sprintf("the default %q is not carried over: %v", *s.Default, err), "add a default to the target column by hand, or have the application give the value")
		return ""
	}
	return out
}

// literalDefault takes the way of a value: the text becomes a source value, the column's conversion makes the target's, which is written as
// a literal. So a default cannot be one that rows are refused for.
func literalDefault(text string, s *catalog.Column, plan *ColumnPlan, lossy int) (string, error) {
	v, err := sourceValue(text, &s.Type)
	if err != nil {
		return "", err
	}
	if plan.conversion.to != nil {
		sc := scratch{lossy: make([]uint64, lossy)}
		if v, err = plan.conversion.to(&sc, v); err != nil {
			return "", err
		}
	}
	return valueLiteral(v, plan.pg)
}

// sourceValue reads a default as information_schema shows it.
func sourceValue(text string, t *catalog.Type) (change.Value, error) {
	src, ok := mysqlTypeOf(t)
	if !ok {
		return change.Value{}, fmt.Errorf("a value of type %s", t.Full)
	}
	of := func(k change.Kind, s string) (change.Value, error) { return change.Value{Kind: k, B: []byte(s)}, nil }
	switch src.class {
	case ints:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return change.NewInt(n), nil
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return change.Value{}, errors.New("it is not an integer")
		}
		return change.NewUint(n), nil
	case decimals:
		sc := scratch{}
		return numericOf(pgType{base: pgNumeric, mods: 2, a: src.precision, b: src.scale})(&sc, change.Value{Kind: change.Decimal, B: []byte(text)})
	case floats32:
		f, err := strconv.ParseFloat(text, 32)
		return change.NewFloat32(float32(f)), err
	case floats64:
		f, err := strconv.ParseFloat(text, 64)
		return change.NewFloat64(f), err
	case texts:
		return of(change.Text, text)
	case binaries:
		digits, ok := strings.CutPrefix(text, "0x")
		raw, err := hex.DecodeString(digits)
		if !ok || err != nil {
			return change.Value{}, errors.New("it is not written in hexadecimal")
		}
		for t.Name == "binary" && len(raw) < t.Length {
			raw = append(raw, 0)
		}
		return change.Value{Kind: change.Bytes, B: raw}, nil
	case dates:
		return of(change.Date, text)
	case datetimes:
		return of(change.DateTime, text)
	case timestamps: // it is written in the time zone of whoever made the table: an instant only by guessing
		if strings.HasPrefix(text, "0000-00-00") {
			return of(change.Timestamp, text)
		}
		return change.Value{}, errors.New("it is in the source's time zone")
	case times:
		return of(change.Time, text)
	case bitStrings:
		bits, ok := strings.CutPrefix(strings.TrimSuffix(text, "'"), "b'")
		if !ok || strings.Trim(bits, "01") != "" || len(bits) > src.length {
			return change.Value{}, errors.New("it is not written as bits")
		}
		return of(change.Bits, strings.Repeat("0", src.length-len(bits))+bits)
	case jsons:
		return of(change.JSON, text)
	default:
		return change.Value{}, errors.New("it cannot be read")
	}
}

// valueLiteral writes a target value in SQL.
func valueLiteral(v change.Value, t pgType) (string, error) {
	switch v.Kind {
	case change.Null:
		return "NULL", nil
	case change.Int, change.Uint, change.Decimal:
		return string(v.AppendText(nil)), nil
	case change.Float32, change.Float64:
		return literal(string(v.AppendText(nil))) + "::" + t.String(), nil
	case change.Bool:
		return strconv.FormatBool(v.N != 0), nil
	case change.Text:
		return literal(string(v.B)), nil
	case change.Bytes:
		return `'\x` + hex.EncodeToString(v.B) + `'::bytea`, nil
	case change.Date, change.DateTime, change.Time, change.JSON:
		return literal(string(v.B)), nil
	case change.Timestamp:
		return literal(string(v.B) + "+00"), nil
	case change.Bits:
		return "B" + literal(string(v.B)), nil
	default:
		return "", fmt.Errorf("a value of kind %s has no literal", v.Kind)
	}
}

var (
	nowDefault    = regexp.MustCompile(`^(current_timestamp|now|localtimestamp|localtime)(\((\d?)\))?$`)
	numberDefault = regexp.MustCompile(`^-?\d+(\.\d+)?$`)
	textDefault   = regexp.MustCompile(`(?i)^(_[a-z0-9]+)?'([^'\\]*)'$`)
)

// expressionDefault translates the few expressions that are common; empty for all others.
func expressionDefault(expr string, t pgType) string {
	e := strings.TrimSpace(expr)
	for strings.HasPrefix(e, "(") && strings.HasSuffix(e, ")") && balanced(e[1:len(e)-1]) {
		e = strings.TrimSpace(e[1 : len(e)-1])
	}
	l := strings.ToLower(e)
	switch {
	case nowDefault.MatchString(l):
		switch t.base {
		case pgTimestamptz:
			return fmt.Sprintf("CURRENT_TIMESTAMP(%d)", t.a)
		case pgTimestamp:
			return fmt.Sprintf("LOCALTIMESTAMP(%d)", t.a)
		}
	case (l == "curdate()" || l == "current_date" || l == "current_date()") && t.base == pgDate:
		return "CURRENT_DATE"
	case l == "uuid()" && t.base.text():
		return "gen_random_uuid()::text"
	case l == "uuid()" && t.base == pgUUID:
		return "gen_random_uuid()"
	case (l == "json_object()" || l == "json_array()") && (t.base == pgJSONB || t.base == pgJSON):
		return map[string]string{"json_object()": "'{}'", "json_array()": "'[]'"}[l]
	case l == "null":
		return "NULL"
	case numberDefault.MatchString(l) && (t.base.integer() || t.base == pgNumeric):
		return l
	case textDefault.MatchString(l) && t.base.text():
		return literal(textDefault.FindStringSubmatch(e)[2])
	}
	return ""
}

// balanced reports whether the parentheses of s close what they open, so that a pair around it can be taken off.
func balanced(s string) bool {
	depth := 0
	for _, r := range s {
		switch r {
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return false
			}
		}
	}
	return depth == 0
}
