package main

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// table is one of the shop's five.
type table uint8

const (
	customers table = iota
	products
	orders
	items
	payments
	tables // how many
)

var tableNames = [tables]string{"customers", "products", "orders", "items", "payments"}

func (t table) String() string { return tableNames[t] }

// rowKey names a row in either database: the number big-endian, or the 16 bytes, so that keys compare as both databases order them.
type rowKey struct {
	table table
	id    [16]byte
	line  uint16 // of items
}

func numbered(t table, id uint64) rowKey {
	k := rowKey{table: t}
	binary.BigEndian.PutUint64(k.id[:], id)
	return k
}

func itemKey(order uint64, line int) rowKey {
	k := numbered(items, order)
	k.line = uint16(line)
	return k
}

func (k rowKey) number() uint64 { return binary.BigEndian.Uint64(k.id[:8]) }

// compare orders the rows of a table as both databases do.
func (k rowKey) compare(o rowKey) int {
	return cmp.Or(bytes.Compare(k.id[:], o.id[:]), cmp.Compare(k.line, o.line))
}

func (k rowKey) String() string {
	switch k.table {
	case products, payments:
		return fmt.Sprintf("%s %x", k.table, k.id)
	case items:
		return fmt.Sprintf("items %d line %d", k.number(), k.line)
	default:
		return fmt.Sprintf("%s %d", k.table, k.number())
	}
}

// shopSchema is the shop as it was built on MySQL over the years.
var shopSchema = []string{
	`CREATE TABLE customers (
	id           bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
	uuid         binary(16) NOT NULL,
	name         varchar(80) NOT NULL,
	email        varchar(120) NOT NULL,
	vip          tinyint(1) NOT NULL DEFAULT 0,
	tier         enum('bronze','silver','gold') NOT NULL DEFAULT 'bronze',
	interests    set('books','music','games','garden','tools') NOT NULL DEFAULT '',
	birthday     date NULL COMMENT '0000-00-00 where the form was left empty',
	member_since year NOT NULL,
	last_seen    datetime NULL,
	balance      decimal(14,4) NOT NULL DEFAULT 0,
	settings     json NOT NULL,
	notes        text NULL,
	created_at   datetime(6) NOT NULL,
	updated_at   timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
	version      int unsigned NOT NULL DEFAULT 1,
	UNIQUE KEY customers_uuid (uuid),
	KEY customers_name (name)
) DEFAULT CHARSET=utf8mb4`,
	`CREATE TABLE products (
	id           binary(16) NOT NULL PRIMARY KEY,
	name         varchar(120) NOT NULL,
	description  text NULL,
	category     smallint unsigned NOT NULL,
	price        decimal(12,2) NOT NULL,
	gross        decimal(13,2) GENERATED ALWAYS AS (price * 1.20) STORED,
	weight       float NOT NULL,
	rating       double NULL,
	flags        bit(8) NOT NULL,
	stock        int unsigned NOT NULL,
	colour       enum('red','green','blue','none') NULL,
	labels       set('new','sale','eco','fragile') NOT NULL DEFAULT '',
	warranty     time NOT NULL COMMENT 'hours',
	released     year NOT NULL,
	listed_on    date NOT NULL,
	picture      varbinary(64) NULL,
	discontinued tinyint(1) NOT NULL DEFAULT 0,
	details      json NULL,
	version      int unsigned NOT NULL DEFAULT 1,
	KEY products_category (category, price)
) DEFAULT CHARSET=utf8mb4`,
	`CREATE TABLE orders (
	id           bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
	customer_id  bigint unsigned NOT NULL,
	status       enum('new','paid','shipped') NOT NULL DEFAULT 'new',
	priority     tinyint(1) NOT NULL DEFAULT 0 COMMENT '0 to 9, whatever the 1 says',
	placed_at    datetime(6) NOT NULL,
	shipped_on   date NULL,
	handling     time(3) NULL,
	total        decimal(14,2) NOT NULL,
	note         varchar(200) NULL,
	meta         json NULL,
	updated_at   timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
	version      int unsigned NOT NULL DEFAULT 1,
	KEY orders_customer (customer_id, placed_at),
	CONSTRAINT orders_of_customer FOREIGN KEY (customer_id) REFERENCES customers (id)
) DEFAULT CHARSET=utf8mb4`,
	`CREATE TABLE items (
	order_id     bigint unsigned NOT NULL,
	line         smallint unsigned NOT NULL,
	product_id   binary(16) NOT NULL,
	quantity     int unsigned NOT NULL,
	price        decimal(12,2) NOT NULL,
	amount       decimal(22,2) GENERATED ALWAYS AS (quantity * price) STORED,
	gift         tinyint(1) NOT NULL DEFAULT 0,
	version      int unsigned NOT NULL DEFAULT 1,
	PRIMARY KEY (order_id, line),
	KEY items_product (product_id),
	CONSTRAINT items_of_order FOREIGN KEY (order_id) REFERENCES orders (id),
	CONSTRAINT items_of_product FOREIGN KEY (product_id) REFERENCES products (id)
) DEFAULT CHARSET=utf8mb4`,
	`CREATE TABLE payments (
	id           binary(16) NOT NULL PRIMARY KEY,
	order_id     bigint unsigned NOT NULL,
	method       enum('card','transfer','invoice','coins') NOT NULL,
	amount       decimal(14,2) NOT NULL,
	rate         double NOT NULL,
	fee          decimal(30,18) NOT NULL,
	reference    bigint unsigned NOT NULL,
	token        varbinary(32) NOT NULL,
	checks       bit(12) NOT NULL,
	paid_at      timestamp(6) NOT NULL,
	version      int unsigned NOT NULL DEFAULT 1,
	KEY payments_order (order_id),
	CONSTRAINT payments_of_order FOREIGN KEY (order_id) REFERENCES orders (id)
) DEFAULT CHARSET=utf8mb4`,
}

// typeRules are what the demo's configuration says beyond the defaults.
const typeRules = `
    - {match: "mysql:binary", column: "shop.*.id", as: uuid}
    - {match: "mysql:binary", column: "shop.*.uuid", as: uuid}
    - {match: "mysql:binary", column: "shop.*.product_id", as: uuid}
    - {match: "mysql:tinyint", column: "shop.customers.vip", as: boolean}
    - {match: "mysql:tinyint", column: "shop.products.discontinued", as: boolean}
    - {match: "mysql:tinyint", column: "shop.items.gift", as: boolean}
    - {match: "mysql:date", zero_date: "null"}
    - {match: "mysql:datetime", zero_date: "null"}
`

// extent is how large the shop is at the beginning. What row number n looks like is calculated, so that the application knows the shop without reading it.
type extent struct {
	customers, products, orders int
}

// extentOf: an order stands for 4 rows, itself, 1.8 items, 0.68 payments, and its share of customers and products.
func extentOf(rows int) extent {
	n := rows / 4
	return extent{customers: n * 2 / 5, products: n * 3 / 25, orders: n}
}

// lines is how many items order n has, 1 to 3.
func lines(n int) int { return [5]int{1, 1, 2, 2, 3}[mix(uint64(n))%5] }

// paid says whether order n has a payment.
func paid(n int) bool { return mix(uint64(n)+1<<40)%100 < 68 }

func productID(n int) (id [16]byte) { return identifier(1, n) }
func paymentID(n int) (id [16]byte) { return identifier(2, n) }
func customerID(n int) (id [16]byte) {
	return identifier(3, n)
}

// identifier is a UUID that looks random.
func identifier(kind uint64, n int) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:8], mix(kind<<56|uint64(n)))
	binary.BigEndian.PutUint64(id[8:], mix(kind<<57|uint64(n)<<8))
	return asUUID(id)
}

func randomID(r *rand.Rand) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:8], r.Uint64())
	binary.BigEndian.PutUint64(id[8:], r.Uint64())
	return asUUID(id)
}

func asUUID(id [16]byte) [16]byte {
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// mix is the finaliser of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
