package apply

import (
	"context"
	"fmt"

	"github.com/crossfade-io/crossfade/internal/change"
)

// chain is the frame read last. Whatever the log has checked, a frame that is not the next one of this stream is never applied.
type chain struct {
	stream change.StreamID
	seq    uint64
	sum    uint64 // 0: not known
}

func (c *chain) next(f *change.Frame) error {
	const remedy = "the stream was restored or made anew; restore it, or clean up and copy again"
	switch {
	case f.Stream != c.stream:
		return fmt.Errorf("frame %d belongs to stream %s, this one is %s: %s", f.Seq, f.Stream, c.stream, remedy)
	case f.Seq != c.seq+1:
		return fmt.Errorf("frame %d follows frame %d: frames are missing; restore the stream, or clean up and copy again", f.Seq, c.seq)
	case f.Prev != c.sum && (c.sum != 0 || c.seq == 0):
		return fmt.Errorf("frame %d follows a frame with checksum %016x, frame %d has %016x: %s", f.Seq, f.Prev, c.seq, c.sum, remedy)
	}
	c.seq, c.sum = f.Seq, f.Sum
	return nil
}

// compare looks for the frames that the lanes stand on, those ahead too: they are read much later, when lanes behind them would have applied
// what another stream holds in between.
func (r *run) compare(ctx context.Context) error {
	seen := map[Place]bool{{Seq: r.place.Seq, Sum: r.place.Sum}: true} // the one that reading begins with
	for i, p := range r.start {
		p.Time = 0
		if seen[p] {
			continue
		}
		seen[p] = true
		reader, err := r.a.log.Read(ctx, p.Seq, p.Sum)
		if err != nil {
			return fmt.Errorf("look for frame %d, which lane %d of the target stands on: %w", p.Seq, i, err)
		}
		if err := reader.Close(); err != nil {
			return fmt.Errorf("look for frame %d: %w", p.Seq, err)
		}
	}
	return nil
}
