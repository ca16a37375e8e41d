package testdb

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// aptSource is a suite of the machine's own distribution, at the mirror that the machine itself uses.
type aptSource struct {
	uri, suite, components, keyring string
}

// ownSource finds the mirror in apt's configuration.
func ownSource(ctx context.Context) (aptSource, string, error) {
	distribution, codename, err := osRelease()
	if err != nil {
		return aptSource{}, "", err
	}
	// With release information first: it names the origin for certain. A machine that never ran `apt-get update` has none.
	for _, args := range [][]string{{"indextargets"}, {"indextargets", "--no-release-info"}} {
		args = append(args, "--format", "$(REPO_URI) $(COMPONENT) $(LABEL)", "Created-By: Packages")
		out, err := run(ctx, "", nil, "apt-get", args...)
		if err != nil {
			return aptSource{}, "", fmt.Errorf("ask apt for its mirror: %w", err)
		}
		for line := range strings.Lines(out) {
			f := strings.Fields(line)
			if len(f) < 2 || f[1] != "main" {
				continue
			}
			uri, label := f[0], strings.ToLower(strings.Join(f[2:], " "))
			if label == distribution || label == "" && regexp.MustCompile(`/`+distribution+`(-ports)?/?$`).MatchString(uri) {
				src := aptSource{uri: uri, suite: codename, components: "main universe"}
				if distribution == "debian" {
					// The only suite of Debian that has MySQL.
					src.suite, src.components = "unstable", "main"
				}
				if ring := "/usr/share/keyrings/" + distribution + "-archive-keyring.gpg"; exists(ring) {
					src.keyring = ring
				}
				return src, distribution, nil
			}
		}
	}
	return aptSource{}, "", fmt.Errorf("apt's configuration names no mirror of %s: install mysqld 8.0 or later on PATH", distribution)
}

func osRelease() (distribution, codename string, err error) {
	data, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", "", fmt.Errorf("tell the distribution: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch key {
		case "ID":
			distribution = value
		case "VERSION_CODENAME":
			codename = value
		}
	}
	if distribution != "debian" && distribution != "ubuntu" {
		return "", "", fmt.Errorf("servers can be fetched on Debian and Ubuntu, this is %q: install them on PATH", distribution)
	}
	return distribution, codename, nil
}

// fetchMySQL downloads MySQL with every library it needs, down to the C library, and unpacks it without installing.
func fetchMySQL(ctx context.Context, dir string) error {
	src, distribution, err := ownSource(ctx)
	if err != nil {
		return err
	}
	apt, err := newPrivateApt(ctx, filepath.Join(dir, "apt"), src)
	if err != nil {
		return err
	}
	if _, err := apt.run(ctx, "apt-get", "update"); err != nil {
		return fmt.Errorf("read the package lists of %s %s: %w", distribution, src.suite, err)
	}
	// Debian: mysql-server-core; Ubuntu carries the version in the name.
	out, err := apt.run(ctx, "apt-cache", "search", "--names-only", `^mysql-server-core(-[0-9.]+)?$`)
	if err != nil {
		return fmt.Errorf("search the packages of MySQL: %w", err)
	}
	var names []string
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 0 {
			names = append(names, f[0])
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("%s %s at %s has no package mysql-server-core", distribution, src.suite, src.uri)
	}
	slices.Sort(names)
	server := names[len(names)-1]
	out, err = apt.run(ctx, "apt-get", "install", "--simulate", "--no-install-recommends", server)
	if err != nil {
		return fmt.Errorf("resolve the dependencies of %s: %w", server, err)
	}
	var packages []string
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "Inst" || strings.Contains(f[1], "perl") {
			continue // for scripts that nobody here calls
		}
		packages = append(packages, f[1])
	}
	debs := filepath.Join(dir, "debs")
	if err := os.Mkdir(debs, 0o755); err != nil {
		return err
	}
	apt.dir = debs
	if _, err := apt.run(ctx, "apt-get", append([]string{"download"}, packages...)...); err != nil {
		return fmt.Errorf("download %s: %w", server, err)
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if _, err := run(ctx, "", nil, "dpkg", "-x", file, filepath.Join(dir, "root")); err != nil {
			return fmt.Errorf("unpack %s: %w", filepath.Base(file), err)
		}
	}
	if mysqld := filepath.Join(dir, "root/usr/sbin/mysqld"); !exists(mysqld) {
		return fmt.Errorf("%s has no usr/sbin/mysqld", server)
	}
	for _, unused := range []string{"debs", "apt", "root/usr/bin", "root/usr/share/doc", "root/usr/share/man"} {
		if err := os.RemoveAll(filepath.Join(dir, unused)); err != nil {
			return fmt.Errorf("remove what a server does not need: %w", err)
		}
	}
	return nil
}

// privateApt is apt on lists, cache and status of its own: it needs no root and leaves the machine's state alone. The
// machine's proxy and the like stay in force.
type privateApt struct {
	dir    string
	config string
}

func newPrivateApt(ctx context.Context, dir string, src aptSource) (*privateApt, error) {
	for _, d := range []string{"state/lists/partial", "cache/archives/partial", "parts"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	options := ""
	if src.keyring != "" {
		options = "[signed-by=" + src.keyring + "] "
	}
	list := fmt.Sprintf("deb %s%s %s %s\n", options, src.uri, src.suite, src.components)
	if err := os.WriteFile(filepath.Join(dir, "sources.list"), []byte(list), 0o644); err != nil {
		return nil, err
	}

	own, err := run(ctx, "", nil, "apt-config", "dump", "--no-empty")
	if err != nil {
		return nil, fmt.Errorf("read apt's configuration: %w", err)
	}
	var config bytes.Buffer
	for lines := bufio.NewScanner(strings.NewReader(own)); lines.Scan(); {
		// Not the paths, not the hooks, and no index other than the packages.
		if strings.HasPrefix(lines.Text(), "Acquire::") && !strings.HasPrefix(lines.Text(), "Acquire::IndexTargets") {
			fmt.Fprintln(&config, lines.Text())
		}
	}
	fmt.Fprintf(&config, `
Dir::Etc::Main "/dev/null";
Dir::Etc::Parts "%[1]s/parts";
Dir::Etc::SourceList "%[1]s/sources.list";
Dir::Etc::SourceParts "%[1]s/parts";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "%[1]s/parts";
Dir::State "%[1]s/state";
Dir::State::Status "/dev/null";
Dir::Cache "%[1]s/cache";
APT::Architecture "%[2]s";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Update::Error-Mode "any";
`, dir, debArchitecture())
	a := &privateApt{dir: dir, config: filepath.Join(dir, "apt.conf")}
	return a, os.WriteFile(a.config, config.Bytes(), 0o644)
}

func (a *privateApt) run(ctx context.Context, name string, args ...string) (string, error) {
	return run(ctx, a.dir, []string{"APT_CONFIG=" + a.config}, name, args...)
}

func debArchitecture() string {
	switch runtime.GOARCH {
	case "386":
		return "i386"
	case "arm":
		return "armhf"
	case "ppc64le":
		return "ppc64el"
	default:
		return runtime.GOARCH
	}
}

// run returns the standard output of a command, and on failure an error with what it said.
func run(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, tail(stderr.String()+stdout.String()))
	}
	return stdout.String(), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// tail is the end of a log, for an error message.
func tail(log string) string {
	const most = 2000
	log = strings.TrimSpace(log)
	if len(log) > most {
		log = "..." + log[len(log)-most:]
	}
	return log
}
