package configs

import "fmt"

// unbuilt is what the design has and this version has not: each is refused by name, never ignored. Whoever builds one deletes its
// line here; what validate.go says about the key then comes to hold.
var unbuilt = []struct {
	used   func(c *Config) []string // the keys in use, as paths
	remedy string
}{
	{key("source.read_url", func(c *Config) bool { return !c.Source.ReadURL.IsZero() }), "remove it: snapshot and verification read source.url"},
	{columns("mask", func(r ColumnRule) bool { return r.Mask != "" }), "remove it, or fill the target by value"},
	{columns("reverse", func(r ColumnRule) bool { return !r.Reverse.IsZero() }), "remove it: the way back leaves a column alone that nothing fills, and an inserted row gets its default"},
	{key("snapshot.no_key", func(c *Config) bool { return c.Snapshot.NoKey != "" }), "remove it, and give every table a key or leave it out of source.tables"},
	{key("apply.consistency", func(c *Config) bool { return c.Apply.Consistency == ConsistencyTransactions }), "use lanes"},
	{key("api.listen", func(c *Config) bool { return c.API.remote() }), "listen on 127.0.0.1, or on nothing: other addresses need token and TLS"},
	{key("api.token_file", func(c *Config) bool { return c.API.TokenFile != "" }), "remove it, and listen on 127.0.0.1"},
	{key("api.cert_file", func(c *Config) bool { return c.API.CertFile != "" }), "remove it, and listen on 127.0.0.1"},
	{key("api.key_file", func(c *Config) bool { return c.API.KeyFile != "" }), "remove it, and listen on 127.0.0.1"},
}

// notBuilt lists the refusals.
func (c *Config) notBuilt() mistakes {
	var ms mistakes
	for _, u := range unbuilt {
		for _, path := range u.used(c) {
			ms = append(ms, &Mistake{Path: path, Problem: ErrNotBuilt.Error(), Remedy: u.remedy, err: ErrNotBuilt})
		}
	}
	return ms
}

func key(path string, used func(*Config) bool) func(*Config) []string {
	return func(c *Config) []string {
		if used(c) {
			return []string{path}
		}
		return nil
	}
}

func columns(name string, used func(ColumnRule) bool) func(*Config) []string {
	return func(c *Config) []string {
		var paths []string
		for i, table := range c.Transform.Tables {
			for j, column := range table.Columns {
				if used(column) {
					paths = append(paths, fmt.Sprintf("transform.tables[%d].columns[%d].%s", i, j, name))
				}
			}
		}
		return paths
	}
}
