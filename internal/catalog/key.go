package catalog

import (
	"fmt"
	"strconv"
	"strings"
)

// chooseKey picks the key by which rows are told apart: the primary key, else a unique index over whole NOT NULL columns. Among several the choice
// is by rule, so that every reader of the same table makes the same one: keys without text first (they can be compared byte by byte), then the one
// with fewest columns, then by name.
func (t *Table) chooseKey(usable func(*Index) bool) error {
	best := -1
	var bestRank [2]int
	for i := range t.Indexes {
		x := &t.Indexes[i]
		if !x.Unique || !usable(x) {
			continue
		}
		key, text, whole, err := t.keyOf(x)
		if err != nil {
			return err
		}
		if !whole {
			continue
		}
		rank := [2]int{text, len(key)}
		if best >= 0 && !x.Primary && (rank[0] > bestRank[0] || rank[0] == bestRank[0] && rank[1] >= bestRank[1]) {
			continue
		}
		best, bestRank = i, rank
		t.Key, t.KeyName, t.KeyIsPrimary = key, x.Name, x.Primary
		if x.Primary {
			return nil
		}
	}
	return nil
}

// keyOf returns the column positions of an index, whether it holds text (1), and whether it covers whole NOT NULL columns.
func (t *Table) keyOf(x *Index) (key []int, text int, whole bool, err error) {
	for _, part := range x.Columns {
		if part.Expr != "" || part.Prefix > 0 {
			return nil, 0, false, nil
		}
		i := t.Column(part.Name)
		if i < 0 {
			return nil, 0, false, fmt.Errorf("index %s names column %s, which the table does not have: the table changed while it was read, try again", x.Name, strconv.Quote(part.Name))
		}
		if t.Columns[i].Nullable {
			return nil, 0, false, nil
		}
		if c := &t.Columns[i].Type; c.Collation != "" || c.Name == "text" || strings.HasPrefix(c.Name, "character") {
			text = 1
		}
		key = append(key, i)
	}
	return key, text, true, nil
}
