package mysql

import (
	"fmt"
	"testing"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// BenchmarkChunk writes the rows of chunks with LOAD DATA LOCAL and without.
func BenchmarkChunk(b *testing.B) {
	for engine, server := range map[change.Engine]*testdb.MySQLServer{change.MySQL: testdb.MySQL(b), change.MariaDB: testdb.MariaDB(b, "10.11")} {
		for _, load := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/load=%v", engine, load), func(b *testing.B) {
				w := newWorld(b, server, engine)
				w.s.(*session).infile = load
				const rows = 5000
				next := int64(0)
				for b.Loop() {
					st := apply.Step{Op: apply.CopyRows}
					for range rows {
						next++
						st.Rows = append(st.Rows, row(next, "a name of some kind", "12345.67"))
					}
					w.must(w.tx(st))
				}
				b.ReportMetric(float64(next)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}
