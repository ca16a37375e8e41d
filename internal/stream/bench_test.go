package stream

import (
	"bytes"
	"context"
	"runtime"
	"testing"
	"time"
)

// BenchmarkAppend measures appending with an fsync before every acknowledgement, and BenchmarkRead reading and checking.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10, 256 << 10, 1 << 20} {
		b.Run(byteSize(size), func(b *testing.B) {
			cfg := embeddedConfig(b)
			cfg.MaxBytes = 16 << 30
			l := openAt(b, cfg)
			frame := frameOf(b, 1, size)
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
			defer cancel()
			var seq uint64
			purged := uint64(0)
			for b.Loop() {
				var err error
				if seq, err = l.Append(ctx, bytes.Clone(frame)); err != nil {
					b.Fatal(err)
				}
				if (seq-purged)*uint64(size) > 4<<30 {
					b.StopTimer()
					if err := l.Wait(ctx, seq); err != nil {
						b.Fatal(err)
					}
					purged = seq
					if err := l.Purge(ctx, seq); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
			}
			if err := l.Wait(ctx, seq); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	cfg := embeddedConfig(b)
	cfg.MaxBytes = 4 << 30
	l := openAt(b, cfg)
	frame := frameOf(b, 1, 256<<10)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	const frames = 2000
	for range frames {
		if _, err := l.Append(ctx, bytes.Clone(frame)); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Wait(ctx, frames); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	var r *Reader
	left := 0
	for b.Loop() {
		if left == 0 {
			if r != nil {
				r.Close()
			}
			var err error
			if r, err = l.Read(ctx, 0, 0); err != nil {
				b.Fatal(err)
			}
			left = frames
		}
		f, err := r.Next(ctx)
		if err != nil {
			b.Fatal(err)
		}
		runtime.KeepAlive(f)
		left--
	}
	r.Close()
}

func byteSize(n int) string {
	if n >= 1<<20 {
		return "1MiB"
	}
	return map[int]string{4 << 10: "4KiB", 64 << 10: "64KiB", 256 << 10: "256KiB"}[n]
}
