package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// verdict is what the judge found.
type verdict struct {
	equal       atomic.Int64 // rows that both databases print alike
	since       atomic.Int64 // rows that the application wrote after the switch: the ledger alone knows them
	differences atomic.Int64
	lost        atomic.Int64 // rows that are not in the new database as they were last acknowledged
	accepted    []string     // writes that the gate of the old database did not refuse

	mu       sync.Mutex
	shown    map[string]int // examples, by what they show
	examples []string
}

// example keeps the first few findings for the summary.
func (v *verdict) example(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	what, rest, _ := strings.Cut(text, " ")
	table, _, _ := strings.Cut(rest, " ")
	what += table
	if v.shown == nil {
		v.shown = map[string]int{}
	}
	if v.shown[what] < 4 { // tables are judged side by side: none may take the room of the others
		v.shown[what]++
		v.examples = append(v.examples, text)
	}
}

// judge compares every table, looks up every acknowledged write, and tries to write to the old database.
func (d *demo) judge(ctx context.Context, s *scene) error {
	db, err := d.place.my.Open("shop")
	if err != nil {
		return err
	}
	defer db.Close()
	v := &d.verdict
	compare := func() error {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(3)
		for _, t := range []table{items, orders, payments, customers, products} {
			g.Go(func() error {
				conn, err := d.place.pg.Connect(ctx, "shop")
				if err != nil {
					return err
				}
				defer conn.Close(ctx)
				if err := whole(ctx, db, conn); err != nil {
					return err
				}
				if err := v.compare(t, oldRows(ctx, db, t), newRows(ctx, conn, t), d.ledger); err != nil {
					return fmt.Errorf("compare %s: %w", t, err)
				}
				return nil
			})
		}
		return g.Wait()
	}
	total := d.status.Load().Snapshot.RowsDone
	if err := d.meanwhile(compare, func() { s.advance(v.equal.Load()+v.since.Load(), total) }); err != nil {
		return err
	}
	if v.accepted, err = d.tryOld(ctx); err != nil {
		return err
	}
	s.say("compared %s rows with code of its own", count(v.equal.Load()+v.since.Load()+v.differences.Load()))
	return nil
}

// compare walks a table of both databases in the order of its key, and looks up what the application knows of each row.
func (v *verdict) compare(t table, old, fresh iter.Seq2[row, error], l ledger) error {
	a, b := walk("MySQL", old), walk("PostgreSQL", fresh)
	defer a.stop()
	defer b.stop()
	if err := errors.Join(a.step(), b.step()); err != nil {
		return err
	}
	seen := map[rowKey]bool{}
	for a.row != nil || b.row != nil {
		var err error
		switch order := a.compare(b); {
		case order < 0:
			v.judgeRow(a.row.key, a.row, nil, l, seen)
			err = a.step()
		case order > 0:
			v.judgeRow(b.row.key, nil, b.row, l, seen)
			err = b.step()
		default:
			v.judgeRow(a.row.key, a.row, b.row, l, seen)
			err = errors.Join(a.step(), b.step())
		}
		if err != nil {
			return err
		}
	}
	for k := range l {
		if k.table == t && !seen[k] {
			v.judgeRow(k, nil, nil, l, seen)
		}
	}
	return nil
}

// judgeRow judges what both databases have under a key; nil is nothing. It must be the same, unless the application has written it after the
// switch: then it must be as it was acknowledged, which every row must be that the application has written.
func (v *verdict) judgeRow(k rowKey, old, fresh *row, l ledger, seen map[rowKey]bool) {
	e, known := l[k]
	if known {
		seen[k] = true
		found := state{gone: true}
		if fresh != nil {
			found = state{version: fresh.version}
		}
		if !e.holds(found) {
			v.lost.Add(1)
			v.example("lost: %s, acknowledged %s, found %s", k, e.now, found)
		}
	}
	switch {
	case known && e.onTarget:
		v.since.Add(1)
	case old == nil && fresh == nil:
	case fresh == nil:
		v.differences.Add(1)
		v.example("difference: %s is missing in PostgreSQL", k)
	case old == nil:
		v.differences.Add(1)
		v.example("difference: %s is in PostgreSQL only", k)
	default:
		if columns := differing(k.table, old, fresh); columns != "" {
			v.differences.Add(1)
			v.example("difference: %s: %s", k, columns)
		} else {
			v.equal.Add(1)
		}
	}
}

// differing names the columns in which two rows differ, with both texts.
func differing(t table, old, fresh *row) string {
	var out []string
	for i, c := range printed[t] {
		if a, b := old.texts[i], fresh.texts[i]; !c.equal(a, b) {
			out = append(out, fmt.Sprintf("%s is %s in MySQL, %s in PostgreSQL", c.name, quoted(a), quoted(b)))
		}
	}
	return strings.Join(out, "; ")
}

func (c column) equal(a, b []byte) bool {
	if (a == nil) != (b == nil) {
		return false
	}
	if !c.float || a == nil {
		return bytes.Equal(a, b)
	}
	x, errA := strconv.ParseFloat(string(a), 64)
	y, errB := strconv.ParseFloat(string(b), 64)
	return errA == nil && errB == nil && x == y
}

func quoted(text []byte) string {
	if text == nil {
		return "NULL"
	}
	return strconv.Quote(string(text))
}

// tryOld writes to every table of the old database as the application did, and returns what was not refused.
func (d *demo) tryOld(ctx context.Context) (accepted []string, err error) {
	old, err := openMySQLShop(address(d.place.my.Port()), "app", secret, 1)
	if err != nil {
		return nil, err
	}
	defer old.close()
	if _, err := old.db.ExecContext(ctx, "SET SESSION sql_mode = ''"); err != nil {
		return nil, fmt.Errorf("ask the old database: %w", err)
	}
	for _, f := range d.app.shop.fillings() {
		name := f.table.String()
		for verb, write := range map[string]string{
			"insert into": f.insert(1, 20),
			"update of":   "UPDATE " + name + " SET version = version + 1 LIMIT 1",
			"delete from": "DELETE FROM " + name + " LIMIT 1",
		} {
			if _, err := old.db.ExecContext(ctx, write); !old.refused(err) { // also when it fails for another reason: the gate would have come first
				accepted = append(accepted, verb+" "+name)
			}
		}
	}
	return accepted, ctx.Err()
}
