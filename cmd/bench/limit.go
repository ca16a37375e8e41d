package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

// pipe is the limit: one SELECT, whose rows go as text into one COPY in one transaction. Nothing is remembered, checked, converted or repeated.
func (b *bench) pipe(ctx context.Context, database string) error {
	return onPostgres(ctx, b.target, database, func(conn *pgx.Conn) error {
		r, w := io.Pipe()
		read := make(chan error, 1)
		go func() {
			err := selectText(b.source, "SELECT "+columns+" FROM orders", w)
			w.CloseWithError(err) // nil is the end of the rows
			read <- err
		}()
		_, err := conn.PgConn().CopyFrom(ctx, r, "COPY orders ("+columns+") FROM STDIN")
		r.CloseWithError(io.ErrClosedPipe)
		if rerr := <-read; rerr != nil && err == nil {
			err = rerr
		}
		return err
	})
}

// selectText writes the rows of a query in the text form of COPY.
func selectText(s *testdb.MySQLServer, query string, to io.Writer) error {
	u, err := url.Parse(s.URL(database))
	if err != nil {
		return err
	}
	password, _ := u.User.Password()
	conn, err := client.Connect(net.JoinHostPort(u.Hostname(), u.Port()), u.User.Username(), password, database)
	if err != nil {
		return err
	}
	defer conn.Close()
	w := bufio.NewWriterSize(to, 64<<10)
	var line []byte
	var result gomysql.Result
	err = conn.ExecuteSelectStreaming(query, &result, func(row []gomysql.FieldValue) error {
		line = line[:0]
		for i := range row {
			if i > 0 {
				line = append(line, '\t')
			}
			switch row[i].Type {
			case gomysql.FieldValueTypeNull:
				line = append(line, `\N`...)
			case gomysql.FieldValueTypeSigned:
				line = strconv.AppendInt(line, row[i].AsInt64(), 10)
			case gomysql.FieldValueTypeString:
				line = appendEscaped(line, row[i].AsString())
			default:
				return fmt.Errorf("column %d: unexpected type %d", i+1, row[i].Type)
			}
		}
		_, err := w.Write(append(line, '\n'))
		return err
	}, nil)
	if err != nil {
		return err
	}
	return w.Flush()
}

func appendEscaped(dst, text []byte) []byte {
	for _, c := range text {
		switch c {
		case '\\':
			dst = append(dst, `\\`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
