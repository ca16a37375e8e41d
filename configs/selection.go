package configs

// Globs selects the tables to move: those of Tables, or where it is empty every table of the database of URL. On PostgreSQL a database
// holds schemas, so there it is every schema; what belongs to the server itself is for the capture to leave out.
func (s Source) Globs() (Globs, error) {
	if len(s.Tables) > 0 {
		return CompileGlobs(s.Tables)
	}
	if s.URL.Engine() == Postgres {
		return CompileGlobs([]string{"*.*"})
	}
	if s.URL.Database() == "" {
		return Globs{}, &fault{problem: "is required, for source.url names no database", remedy: `name the tables, such as "shop.*"`}
	}
	return CompileGlobs([]string{QuoteName(s.URL.Database()) + ".*"})
}

// SchemaFor returns the schema of the target that takes the tables of a schema of the source for which no table rule says otherwise.
func (t Target) SchemaFor(source string) string {
	for _, rule := range t.Schemas {
		if rule.Source == source {
			return rule.Target
		}
	}
	if t.Schema != "" {
		return t.Schema
	}
	if t.URL.Engine() == Postgres {
		return "public"
	}
	return t.URL.Database()
}
