package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// side is a database of the migration, as crossfade names it.
type side string

const (
	source side = "source"
	target side = "target"
)

// runSwitch is the switch step: it points the application to the side that crossfade names, or says where it points.
func runSwitch(verb string, args []string, out, errs io.Writer) int {
	err := errors.New("which file?")
	if len(args) == 1 {
		if verb == "switch" {
			err = writeSwitch(args[0], side(os.Getenv("CROSSFADE_ACTIVE")))
		} else {
			var at side
			if at, err = readSwitch(args[0]); err == nil {
				_, err = fmt.Fprintln(out, at)
			}
		}
	}
	if err != nil {
		fmt.Fprintf(errs, "demo %s: %v\n", verb, err)
		return 1
	}
	return 0
}

// writeSwitch replaces the file whole, so that no reader ever finds half of it.
func writeSwitch(path string, to side) error {
	if to != source && to != target {
		return fmt.Errorf("CROSSFADE_ACTIVE is %q, not source or target", to)
	}
	if err := os.WriteFile(path+".new", []byte(to+"\n"), 0o644); err != nil {
		return fmt.Errorf("write the switch: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write the switch: %w", err)
	}
	return nil
}

func readSwitch(path string) (side, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the switch: %w", err)
	}
	switch at := side(strings.TrimSpace(string(b))); at {
	case source, target:
		return at, nil
	default:
		return "", fmt.Errorf("the switch %s says %q, not source or target", path, at)
	}
}
