package mysql

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// verdict says what a statement in the log means for the migration.
type verdict uint8

const (
	passes     verdict = iota + 1 // touches nothing that is migrated
	begins                        // BEGIN
	commits                       // COMMIT
	rollsBack                     // ROLLBACK of the whole transaction
	rollsTo                       // ROLLBACK TO SAVEPOINT
	savepoint                     // SAVEPOINT, RELEASE SAVEPOINT
	xaStarts                      // XA START
	xaEnds                        // XA END
	xaCommits                     // XA COMMIT of a prepared transaction
	xaRolls                       // XA ROLLBACK
	truncates                     // TRUNCATE TABLE of a migrated table
	changes                       // rows are changed by the statement itself, not by rows events
	touches                       // a schema change of what is migrated
	unreadable                    // not understood
)

// name is a table's name.
type name struct{ schema, table string }

func (n name) String() string { return n.schema + "." + n.table }

// statement is a classified statement.
type statement struct {
	verdict verdict
	table   name   // for truncates
	xid     string // for the XA verdicts
	object  string // what is touched
	reason  string // why it cannot be passed over
	// opens: the rows that CREATE TABLE ... SELECT inserted follow in the same transaction.
	opens bool
}

// scope is what a statement is judged by.
type scope interface {
	// known reports whether the table is migrated, selects whether a table of that name would be.
	known(name) bool
	selects(name) bool
	// sequence says that the name is that of a sequence.
	sequence(name)
	// holds reports whether a migrated table lies in the schema.
	holds(schema string) bool
}

// classify judges a statement. It passes only what certainly leaves the migrated tables alone; whatever it cannot read is unreadable.
func classify(q *query, text string, version int, sc scope) statement {
	switch text { // nearly all there is
	case "BEGIN":
		return statement{verdict: begins}
	case "COMMIT":
		return statement{verdict: commits}
	}
	p := parser{lexer: lexer{s: text, mode: q.sqlMode, version: version}, database: q.database, scope: sc}
	st, err := p.statement()
	if err != nil {
		return statement{verdict: unreadable, reason: err.Error()}
	}
	return st
}

type parser struct {
	lexer    lexer
	token    token // the current one
	database string
	scope    scope
}

var errNotUnderstood = errors.New("its form is not known")

func (p *parser) advance() error {
	t, err := p.lexer.next()
	p.token = t
	return err
}

// accept passes over the keywords if they come next. Of several, the first decides: what follows it must be the others.
func (p *parser) accept(keywords ...string) (bool, error) {
	for i, k := range keywords {
		if !p.token.is(k) {
			if i > 0 {
				return false, errNotUnderstood
			}
			return false, nil
		}
		if err := p.advance(); err != nil {
			return false, err
		}
	}
	return true, nil
}

// word returns the keyword that comes next, in upper case, and passes over it.
func (p *parser) word() (string, error) {
	if p.token.kind != wordToken {
		return "", errNotUnderstood
	}
	w := strings.ToUpper(p.token.text)
	return w, p.advance()
}

// name reads table or schema.table.
func (p *parser) name() (name, error) {
	first, err := p.identifier()
	if err != nil {
		return name{}, err
	}
	n := name{p.database, first}
	if p.token.punct('.') {
		if err := p.advance(); err != nil {
			return n, err
		}
		n.schema = first
		if n.table, err = p.identifier(); err != nil {
			return n, err
		}
	}
	if n.schema == "" {
		return n, fmt.Errorf("%s is in no known database", n.table)
	}
	return n, nil
}

func (p *parser) identifier() (string, error) {
	if p.token.kind != wordToken && p.token.kind != nameToken {
		return "", errNotUnderstood
	}
	s := p.token.text
	return s, p.advance()
}

var pass = statement{verdict: passes}

func (p *parser) statement() (statement, error) {
	if err := p.advance(); err != nil {
		return pass, err
	}
	w, err := p.word()
	if err != nil {
		return pass, err
	}
	switch w {
	case "BEGIN":
		return p.only(begins)
	case "COMMIT":
		return p.only(commits)
	case "ROLLBACK":
		if to, err := p.accept("TO"); err != nil || to {
			return statement{verdict: rollsTo}, err
		}
		return p.only(rollsBack)
	case "SAVEPOINT", "RELEASE":
		return statement{verdict: savepoint}, nil
	case "XA":
		return p.xa()
	case "INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "WITH", "SELECT", "CALL", "DO", "VALUES", "TABLE", "HANDLER":
		return statement{verdict: changes, object: w}, nil
	case "CREATE":
		return p.create()
	case "ALTER":
		return p.alter()
	case "DROP":
		return p.drop()
	case "RENAME":
		return p.rename()
	case "TRUNCATE":
		return p.truncate()
	case "GRANT", "REVOKE", "FLUSH", "ANALYZE", "OPTIMIZE", "REPAIR", "CHECK", "CHECKSUM", "INSTALL", "UNINSTALL":
		return pass, nil
	case "SET":
		if p.token.is("PASSWORD") || p.token.is("DEFAULT") {
			return pass, nil
		}
	}
	return pass, errNotUnderstood
}

// only returns the verdict if the statement ends here.
func (p *parser) only(v verdict) (statement, error) {
	if p.token.kind != endToken {
		return pass, errNotUnderstood
	}
	return statement{verdict: v}, nil
}

func (p *parser) xa() (statement, error) {
	w, err := p.word()
	if err != nil {
		return pass, err
	}
	var v verdict
	switch w {
	case "START", "BEGIN":
		v = xaStarts
	case "END":
		v = xaEnds
	case "COMMIT":
		v = xaCommits
	case "ROLLBACK":
		v = xaRolls
	default:
		return pass, errNotUnderstood
	}
	st := statement{verdict: v}
	if st.xid, err = p.xid(); err != nil {
		return pass, err
	}
	if onePhase, err := p.accept("ONE", "PHASE"); err != nil || onePhase {
		return pass, errNotUnderstood // logged as an event of its own, never as a statement
	}
	if p.token.kind != endToken {
		return pass, errNotUnderstood
	}
	return st, nil
}

// xid reads gtrid[,bqual[,format]] and returns it in a form fit for positions.
func (p *parser) xid() (string, error) {
	parts := [3]string{2: "1"}
	for i := range parts {
		if i > 0 {
			if !p.token.punct(',') {
				break
			}
			if err := p.advance(); err != nil {
				return "", err
			}
		}
		t := p.token
		if err := p.advance(); err != nil {
			return "", err
		}
		digits, prefixed := strings.CutPrefix(t.text, "0x")
		switch {
		case i == 2 && t.kind == wordToken:
			parts[i] = t.text
		case i == 2:
			return "", errNotUnderstood
		case t.kind == stringToken:
			parts[i] = hex.EncodeToString([]byte(t.text))
		case t.is("X") && p.token.kind == stringToken:
			parts[i] = strings.ToLower(p.token.text)
			if err := p.advance(); err != nil {
				return "", err
			}
		case t.kind == wordToken && prefixed:
			parts[i] = strings.ToLower(digits)
		default:
			return "", errNotUnderstood
		}
	}
	for _, s := range parts {
		if strings.Trim(s, "0123456789abcdef") != "" {
			return "", errNotUnderstood
		}
	}
	return strings.Join(parts[:], "."), nil
}

// modifiers passes over what may stand between CREATE or ALTER and the kind of object, and returns that kind and the last modifier.
func (p *parser) modifiers() (kind, modifier string, err error) {
	for {
		w, err := p.word()
		if err != nil {
			return "", "", err
		}
		switch w {
		case "OR": // REPLACE
			if _, err := p.word(); err != nil {
				return "", "", err
			}
		case "AGGREGATE", "TEMPORARY", "UNIQUE", "FULLTEXT", "UNDO":
			modifier = w
		case "SPATIAL":
			if p.token.is("REFERENCE") {
				return "REFERENCE", w, nil
			}
			modifier = w
		case "JSON", "RELATIONAL", "DUALITY", "MATERIALIZED":
			modifier = w
		case "SQL": // SECURITY x
			if _, err := p.word(); err != nil {
				return "", "", err
			}
			if _, err := p.word(); err != nil {
				return "", "", err
			}
		case "ALGORITHM":
			if err := p.equals(); err != nil {
				return "", "", err
			}
			if _, err := p.word(); err != nil {
				return "", "", err
			}
		case "DEFINER":
			if err := p.equals(); err != nil {
				return "", "", err
			}
			if err := p.user(); err != nil {
				return "", "", err
			}
		default:
			return w, modifier, nil
		}
	}
}

func (p *parser) equals() error {
	if !p.token.punct('=') {
		return errNotUnderstood
	}
	return p.advance()
}

// user passes over user[@host] or CURRENT_USER[()].
func (p *parser) user() error {
	part := func() error {
		if p.token.kind == punctToken || p.token.kind == endToken {
			return errNotUnderstood
		}
		return p.advance()
	}
	if err := part(); err != nil {
		return err
	}
	if p.token.punct('(') {
		if err := p.advance(); err != nil {
			return err
		}
		if !p.token.punct(')') {
			return errNotUnderstood
		}
		return p.advance()
	}
	if !p.token.punct('@') {
		return nil
	}
	if err := p.advance(); err != nil {
		return err
	}
	return part()
}
