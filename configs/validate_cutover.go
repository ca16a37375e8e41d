package configs

import "fmt"

func (c *Config) checkCutover(ms *mistakes) {
	k := &c.Cutover
	positive(ms, "cutover.max_lag", k.MaxLag, "give a duration such as 5s")
	positive(ms, "cutover.max_pause", k.MaxPause, "give a duration such as 2s")
	positive(ms, "cutover.timeout", k.Timeout, "give a duration such as 30s")
	if k.Timeout > 0 && k.MaxPause > k.Timeout {
		ms.add("cutover.max_pause", fmt.Sprintf("%s is above cutover.timeout, %s: an attempt that is let in would be aborted", k.MaxPause, k.Timeout), "lower it or raise the timeout")
	}
	for i, step := range k.Switch {
		step.check(ms, fmt.Sprintf("cutover.switch[%d]", i))
	}
	for i, guard := range k.Guards {
		guard.check(ms, fmt.Sprintf("cutover.guards[%d]", i))
	}
}

func (s SwitchStep) check(ms *mistakes, path string) {
	kinds := 0
	if p := s.PgBouncer; p != nil {
		kinds++
		p.check(ms, path+".pgbouncer")
	}
	if e := s.Exec; e != nil {
		kinds++
		checkCommand(ms, path+".exec.command", e.Command, "give the command that moves the traffic")
		checkCommand(ms, path+".exec.status", e.Status, "give a command that prints source or target: where traffic goes now")
		positive(ms, path+".exec.timeout", e.Timeout, "give a duration such as 10s")
	}
	if h := s.HTTP; h != nil {
		kinds++
		if h.URL.IsZero() {
			ms.add(path+".http.url", "is required", "write it like https://host/path")
		}
		positive(ms, path+".http.timeout", h.Timeout, "give a duration such as 10s")
	}
	if kinds != 1 {
		ms.add(path, fmt.Sprintf("holds %d kinds of step, not one", kinds), "write one of pgbouncer, exec and http in each entry")
	}
}

func (p *PgBouncerStep) check(ms *mistakes, path string) {
	switch {
	case p.Admin.IsZero():
		ms.add(path+".admin", "is required", "write it like postgres://admin@pool1:6432/pgbouncer")
	case p.Admin.Engine() != Postgres:
		ms.add(path+".admin", "is no URL of a PgBouncer", "write it like postgres://admin@pool1:6432/pgbouncer")
	default:
		checkDatabase(ms, path+".admin", p.Admin, true)
	}
	required(ms, path+".database", p.Database, "name the entry of the pooler to change")
	switch {
	case p.Ini == "" && len(p.Exec) == 0:
		ms.add(path+".ini", "is required", "name the file to rewrite, or give exec, a command that rewrites it")
	case p.Ini != "" && len(p.Exec) > 0:
		ms.add(path+".ini", "stands beside exec", "remove one of them")
	case len(p.Exec) > 0:
		checkCommand(ms, path+".exec", p.Exec, "give the command that rewrites the pooler's file")
	}
}

func checkCommand(ms *mistakes, path string, command []string, remedy string) {
	if len(command) == 0 || command[0] == "" {
		ms.add(path, "is required", remedy)
	}
}
