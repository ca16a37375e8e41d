//go:build long

package main

import "testing"

// TestACrashAtEveryEdgeLosesNothing is the short test at all edges of pairs in which every engine is on either side.
func TestACrashAtEveryEdgeLosesNothing(t *testing.T) {
	onFourPairs(t, func(t *testing.T, source, target *end) { crashes(t, source, target, len(edges())) })
}
