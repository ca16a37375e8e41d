package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

// postgresMajor is the version that the shop moves to.
const postgresMajor = 18

// secret is every user's password. Real ones have such characters.
const secret = "t/op:s@cr%t"

// place is both servers, and the directory of what runs beside them: it is removed with the old server, and so is every process in it.
type place struct {
	my  *testdb.MySQLServer
	pg  *testdb.PostgresServer
	dir string
}

func (p *place) switchFile() string { return filepath.Join(p.dir, "where") }

// open starts the servers and makes the users: crossfade's, with what it asks for and no more, and the application's.
func (p *place) open(ctx context.Context, log io.Writer) (err error) {
	if p.my, err = testdb.StartMySQL(ctx, "", log, "--log-bin-trust-function-creators=ON"); err != nil {
		return err
	}
	if p.pg, err = testdb.StartPostgres(ctx, "", log, postgresMajor); err != nil {
		return err
	}
	p.dir = filepath.Join(filepath.Dir(p.my.DataDir()), "demo")
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		return fmt.Errorf("make the directory of the demo: %w", err)
	}
	if err := writeSwitch(p.switchFile(), source); err != nil {
		return err
	}
	if err := p.onMySQL(ctx, "",
		"CREATE DATABASE shop",
		"CREATE USER crossfade IDENTIFIED BY '"+secret+"'",
		"GRANT REPLICATION SLAVE, REPLICATION CLIENT, XA_RECOVER_ADMIN, CONNECTION_ADMIN ON *.* TO crossfade",
		"GRANT SELECT ON performance_schema.* TO crossfade",
		"GRANT SELECT, TRIGGER ON shop.* TO crossfade",
		"GRANT ALL ON crossfade.* TO crossfade",
		"CREATE USER app IDENTIFIED BY '"+secret+"'",
		"GRANT SELECT, INSERT, UPDATE, DELETE ON shop.* TO app"); err != nil {
		return err
	}
	if err := p.onPostgres(ctx, "postgres",
		"CREATE ROLE crossfade LOGIN PASSWORD '"+secret+"'",
		"GRANT SET ON PARAMETER session_replication_role TO crossfade",
		"CREATE ROLE app LOGIN PASSWORD '"+secret+"'",
		"CREATE DATABASE shop OWNER crossfade"); err != nil {
		return err
	}
	return p.onPostgres(ctx, "shop",
		"ALTER DEFAULT PRIVILEGES FOR ROLE crossfade IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO app",
		"ALTER DEFAULT PRIVILEGES FOR ROLE crossfade IN SCHEMA public GRANT USAGE ON SEQUENCES TO app")
}

func (p *place) onMySQL(ctx context.Context, database string, statements ...string) error {
	db, err := p.my.Open(database)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("prepare the old server: %w", err)
		}
	}
	return nil
}

func (p *place) onPostgres(ctx context.Context, database string, statements ...string) error {
	conn, err := p.pg.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("prepare the new server: %w", err)
		}
	}
	return nil
}

// shops are the application's ways into both databases.
func (p *place) shops(sessions int) (map[side]shopDB, error) {
	old, err := openMySQLShop(address(p.my.Port()), "app", secret, sessions)
	if err != nil {
		return nil, err
	}
	fresh, err := openPostgresShop(shopURL("postgres", p.pg.Port(), url.UserPassword("app", secret)), sessions)
	if err != nil {
		return nil, err
	}
	return map[side]shopDB{source: old, target: fresh}, nil
}

func shopURL(scheme string, port int, user *url.Userinfo) string {
	return (&url.URL{Scheme: scheme, User: user, Host: address(port), Path: "/shop"}).String()
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
