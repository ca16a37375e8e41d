package configs

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestGuardConditionsTakeTheirOwnUnits(t *testing.T) {
	for when, ok := range map[string]bool{
		"lag > 5s": true, "lag>5s": true, "lag > 5": false, "lag > 5%": false, "lag < 5s": false, "lag": false,
		"error_rate > 1%": true, "error_rate > 0.5%": true, "error_rate > 1": false, "error_rate > NaN%": false,
		"duration > 2x": true, "duration > 2s": false, "differences > 0": true, "differences > -1": false, "difference > 0": false,
	} {
		g := Guard{When: when, Do: "warn"}
		var ms mistakes
		g.check(&ms, "cutover.guards[0]")
		if got := !ms.about("cutover.guards[0].when"); got != ok {
			t.Errorf("%q: accepted %v, want %v", when, got, ok)
		}
	}
}

func TestAGuardSaysByItsKeyWhatIsWrongWithIt(t *testing.T) {
	for text, want := range map[string]string{ // of the mistake; empty: none
		`{when: "lag > 5s", do: pause, for: 10s}`:                             "",
		`{when: "error_rate > 1%", do: rollback}`:                             "", // off
		`{when: "error_rate > 1%", do: hold, probe: {http: "https://app/h"}}`: "",
		`{when: "differences > 0", do: warn}`:                                 "",
		`{do: pause}`:                                                         "cutover.guards[1].when: is required",
		`{when: "lag > 5", do: pause}`:                                        "cutover.guards[1].when: \"lag > 5\" is no condition",
		`{when: "lag >= 5s", do: pause}`:                                      "cutover.guards[1].when: \"lag >= 5s\" is no condition",
		`{when: "lag > 5s"}`:                                                  "cutover.guards[1].do: is required",
		`{when: "lag > 5s", do: stop}`:                                        "cutover.guards[1].do: \"stop\"",
		`{when: "lag > 5s", do: pause, for: -1s}`:                             "cutover.guards[1].for: -1s is below 0",
		`{when: "lag > 5s", do: pause, every: 1s}`:                            "cutover.guards[1].every: is not known",
		`{when: "differences > 0", do: rollback}`:                             "cutover.guards[1].do: a difference never starts a rollback",
		`{when: "lag > 5s", do: pause, probe: {http: "https://app/h"}}`:       "cutover.guards[1].probe: measures error_rate",
		`{when: "error_rate > 1%", do: hold, probe: {http: "app/h"}}`:         "cutover.guards[1].probe.http: ",
	} {
		cfg, err := load("crossfade.yaml", []byte(minimal+"\ncutover: {guards: [{when: \"duration > 2x\", do: warn}, "+text+"]}\n"), env())
		if err == nil {
			err = cfg.Validate()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// A list of guards replaces the default as a whole: no entry takes anything from the default at its place.
func TestAListOfGuardsReplacesTheDefault(t *testing.T) {
	for text, want := range map[string][]Guard{
		"":                       DefaultGuards(),
		"cutover: {max_lag: 1s}": DefaultGuards(),
		"cutover: {guards: }":    DefaultGuards(), // all of its lines are commented out
		"cutover: {guards: []}":  {},
		`cutover: {guards: [{when: "lag > 1m", do: warn}]}`: {{When: "lag > 1m", Do: GuardWarn}},
	} {
		cfg := mustLoad(t, minimal+"\n"+text+"\n", env())
		if got := cfg.Cutover.Guards; len(got) != len(want) || len(got) > 0 && !slices.Equal(got, want) {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

func TestAConditionIsReadInItsUnit(t *testing.T) {
	for when, want := range map[string]Condition{
		"lag > 1500ms": {MeasureLag, 1.5}, "error_rate > 0.5%": {MeasureErrorRate, 0.005}, "duration > 2.5x": {MeasureDuration, 2.5}, "differences > 3": {MeasureDifferences, 3},
	} {
		if got, err := (Guard{When: when}).Condition(); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", when, got, err, want)
		}
	}
	var m *Mistake
	if _, err := (Guard{When: "lag"}).Condition(); !errors.As(err, &m) || m.Path != "when" {
		t.Errorf("no condition: %v", err)
	}
}
