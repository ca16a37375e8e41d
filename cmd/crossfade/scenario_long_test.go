//go:build long

package main

import "testing"

// TestScenariosOfTheirOwnForEveryTarget runs them for the targets that the short test leaves out.
func TestScenariosOfTheirOwnForEveryTarget(t *testing.T) {
	for _, s := range loadScenarios(t) {
		if !s.Alone() {
			continue
		}
		for _, source := range s.Sources {
			for _, target := range s.Targets[1:] {
				t.Run(s.Name+" "+source+" to "+target, func(t *testing.T) { runAlone(t, s, source, target) })
			}
		}
	}
}
