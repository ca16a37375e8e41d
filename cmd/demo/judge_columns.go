package main

import "fmt"

// column is how each database is asked to print a column, so that the same value gives the same text.
type column struct {
	name, mysql, postgres string
	float                 bool // compared as a number: each prints its exponents in its own way
}

func as(name, mysql, postgres string) column {
	return column{name: name, mysql: fmt.Sprintf(mysql, name), postgres: fmt.Sprintf(postgres, name)}
}

func same(name string) column  { return as(name, "%s", "%s") }
func uuid(name string) column  { return as(name, "LOWER(HEX(%s))", "replace(%s::text, '-', '')") }
func bytea(name string) column { return as(name, "LOWER(HEX(%s))", "encode(%s, 'hex')") }
func truth(name string) column { return as(name, "%s", "%s::int") }
func date(name string) column  { return as(name, "NULLIF(CAST(%s AS CHAR), '0000-00-00')", "%s") }

func bits(name string, n int) column {
	return as(name, fmt.Sprintf("LPAD(BIN(%%s), %d, '0')", n), "%s")
}

func datetime(name string) column {
	return as(name, "NULLIF(DATE_FORMAT(%s, '%%Y-%%m-%%d %%H:%%i:%%s.%%f'), '0000-00-00 00:00:00.000000')", "to_char(%s, 'YYYY-MM-DD HH24:MI:SS.US')")
}

func timestamp(name string) column {
	return as(name, "DATE_FORMAT(%s, '%%Y-%%m-%%d %%H:%%i:%%s.%%f')", "to_char(%s AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')")
}

// hours are MySQL's times of up to 838 hours, which are intervals in PostgreSQL.
func hours(name string) column {
	return as(name, "CAST(TIME_TO_SEC(%[1]s) + IF(%[1]s < 0, -1, 1) * MICROSECOND(%[1]s) / 1000000 AS DECIMAL(20, 6))", "extract(epoch FROM %s)::numeric(20, 6)")
}

func double(name string) column {
	c := as(name, "CAST(%s AS DOUBLE)", "%s::float8")
	c.float = true
	return c
}

// printed are all columns of every table. The key comes first, the version last.
var printed = [tables][]column{
	customers: {same("id"), uuid("uuid"), same("name"), same("email"), truth("vip"), same("tier"), same("interests"), date("birthday"), same("member_since"),
		datetime("last_seen"), same("balance"), same("settings"), same("notes"), datetime("created_at"), timestamp("updated_at"), same("version")},
	products: {uuid("id"), same("name"), same("description"), same("category"), same("price"), same("gross"), double("weight"), double("rating"), bits("flags", 8),
		same("stock"), same("colour"), same("labels"), hours("warranty"), same("released"), date("listed_on"), bytea("picture"), truth("discontinued"),
		same("details"), same("version")},
	orders: {same("id"), same("customer_id"), same("status"), same("priority"), datetime("placed_at"), date("shipped_on"), hours("handling"), same("total"),
		same("note"), same("meta"), timestamp("updated_at"), same("version")},
	items: {same("order_id"), same("line"), uuid("product_id"), same("quantity"), same("price"), same("amount"), truth("gift"), same("version")},
	payments: {uuid("id"), same("order_id"), same("method"), same("amount"), double("rate"), same("fee"), same("reference"), bytea("token"), bits("checks", 12),
		timestamp("paid_at"), same("version")},
}

// orderedBy is the key of a table; both databases order it alike.
func (t table) orderedBy() string {
	if t == items {
		return "order_id, line"
	}
	return "id"
}
