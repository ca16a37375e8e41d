package main

import (
	"fmt"
	"path"

	"github.com/crossfade-io/crossfade/configs"
	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/pooler"
)

// switchSteps are the configured steps that move traffic.
func switchSteps(cfg *configs.Config) ([]cutover.Switch, error) {
	var out []cutover.Switch
	for i, s := range cfg.Cutover.Switch {
		switch {
		case s.Exec != nil:
			out = append(out, &cutover.Exec{Label: fmt.Sprintf("%d-%s", i+1, path.Base(s.Exec.Command[0])), Command: s.Exec.Command, Status: s.Exec.Status, Timeout: s.Exec.Timeout})
		case s.HTTP != nil:
			out = append(out, &cutover.HTTP{Label: fmt.Sprintf("%d-http", i+1), URL: s.HTTP.URL.Reveal(), Timeout: s.HTTP.Timeout})
		case s.PgBouncer != nil:
			p, err := pooler.NewPgBouncer(pooler.Config{Label: fmt.Sprintf("%d-pgbouncer", i+1), Admin: postgresURL(s.PgBouncer.Admin), Database: s.PgBouncer.Database,
				Ini: s.PgBouncer.Ini, Exec: s.PgBouncer.Exec, Source: poolerAddress(cfg.Source.URL), Target: poolerAddress(cfg.Target.URL)})
			if err != nil {
				return nil, err
			}
			out = append(out, p)
		}
	}
	return out, nil
}

func poolerAddress(u configs.URL) pooler.Address {
	return pooler.Address{Host: u.Host(), Port: u.Port(), Database: u.Database()}
}
