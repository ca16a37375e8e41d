package testdb

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// mirror is where the machine itself gets its packages.
type mirror struct {
	uri, keyring           string
	distribution, codename string
}

// ownMirror finds the mirror in apt's configuration.
func ownMirror(ctx context.Context) (mirror, error) {
	distribution, codename, err := osRelease()
	if err != nil {
		return mirror{}, err
	}
	m := mirror{distribution: distribution, codename: codename}
	if ring := "/usr/share/keyrings/" + distribution + "-archive-keyring.gpg"; exists(ring) {
		m.keyring = ring
	}
	byName := regexp.MustCompile(`/` + distribution + `(-ports)?/?$`)
	// With release information first: it names the origin for certain. A machine that never ran `apt-get update` has none.
	for _, args := range [][]string{{"indextargets"}, {"indextargets", "--no-release-info"}} {
		args = append(args, "--format", "$(REPO_URI) $(COMPONENT) $(LABEL)", "Created-By: Packages")
		out, err := run(ctx, "", nil, "apt-get", args...)
		if err != nil {
			return mirror{}, fmt.Errorf("ask apt for its mirror: %w", err)
		}
		for line := range strings.Lines(out) {
			f := strings.Fields(line)
			if len(f) < 2 || f[1] != "main" {
				continue
			}
			label := strings.ToLower(strings.Join(f[2:], " "))
			if label == distribution || label == "" && byName.MatchString(f[0]) {
				m.uri = f[0]
				return m, nil
			}
		}
	}
	return mirror{}, fmt.Errorf("apt's configuration names no mirror of %s", distribution)
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

// fetchMySQL gets MySQL: unstable is the only suite of Debian that has it; Ubuntu carries the version in the name.
func fetchMySQL(ctx context.Context, dir string) error {
	m, err := ownMirror(ctx)
	if err != nil {
		return err
	}
	suite := m.codename
	if m.distribution == "debian" {
		suite = "unstable"
	}
	if err := m.unpack(ctx, dir, suite, `^mysql-server-core(-[0-9.]+)?$`); err != nil {
		return err
	}
	if !exists(filepath.Join(dir, "root/usr/sbin/mysqld")) {
		return fmt.Errorf("the package has no usr/sbin/mysqld")
	}
	return os.RemoveAll(filepath.Join(dir, "root/usr/bin"))
}

// unpack downloads the newest package that matches, with every library it needs down to the C library, into dir/root. Nothing
// is installed.
func (m mirror) unpack(ctx context.Context, dir, suite, pattern string) error {
	work := filepath.Join(dir, "apt")
	apt, err := newPrivateApt(ctx, work, m, suite)
	if err != nil {
		return err
	}
	if _, err := apt.run(ctx, "apt-get", "update"); err != nil {
		return fmt.Errorf("read the package lists of %s %s: %w", m.distribution, suite, err)
	}
	out, err := apt.run(ctx, "apt-cache", "search", "--names-only", pattern)
	if err != nil {
		return fmt.Errorf("search for packages %s: %w", pattern, err)
	}
	var names []string
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 0 {
			names = append(names, f[0])
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("%s %s at %s has no package %s", m.distribution, suite, m.uri, pattern)
	}
	name := slices.Max(names)

	out, err = apt.run(ctx, "apt-get", "install", "--simulate", "--no-install-recommends", name)
	if err != nil {
		return fmt.Errorf("resolve the dependencies of %s: %w", name, err)
	}
	var packages []string
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "Inst" || strings.Contains(f[1], "perl") {
			continue // Perl is for scripts that nobody here calls
		}
		packages = append(packages, f[1])
	}
	if _, err := apt.run(ctx, "apt-get", append([]string{"download"}, packages...)...); err != nil {
		return fmt.Errorf("download %s: %w", name, err)
	}
	files, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if _, err := run(ctx, "", nil, "dpkg", "-x", file, filepath.Join(dir, "root")); err != nil {
			return fmt.Errorf("unpack %s: %w", filepath.Base(file), err)
		}
	}
	for _, unused := range []string{"apt", "root/usr/share/doc", "root/usr/share/man", "root/var", "root/etc"} {
		if err := os.RemoveAll(filepath.Join(dir, unused)); err != nil {
			return fmt.Errorf("remove what a server does not need: %w", err)
		}
	}
	return nil
}

// unpackedLoader is how a program in an unpacked tree must be started: by the tree's own loader, with its own libraries,
// because its C library may be newer than the system's.
func unpackedLoader(root string) ([]string, error) {
	loaders, err := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*/ld-linux*.so*"))
	if err == nil && len(loaders) == 0 { // before the directories were merged
		loaders, err = filepath.Glob(filepath.Join(root, "lib/*-linux-gnu*/ld-linux*.so*"))
	}
	if err != nil || len(loaders) != 1 {
		return nil, errors.Join(err, fmt.Errorf("%s has %d loaders, want 1", root, len(loaders)))
	}
	arch := filepath.Base(filepath.Dir(loaders[0]))
	return []string{loaders[0], "--library-path", filepath.Join(root, "usr/lib", arch) + ":" + filepath.Join(root, "lib", arch)}, nil
}

// privateApt is apt on lists, cache and status of its own: it needs no root and leaves the machine's state alone. The
// machine's proxy and the like stay in force.
type privateApt struct {
	dir    string
	config string
}

func newPrivateApt(ctx context.Context, dir string, m mirror, suite string) (*privateApt, error) {
	for _, d := range []string{"state/lists/partial", "cache/archives/partial", "parts"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	options := ""
	if m.keyring != "" {
		options = "[signed-by=" + m.keyring + "] "
	}
	components := "main"
	if m.distribution == "ubuntu" {
		components = "main universe"
	}
	list := fmt.Sprintf("deb %s%s %s %s\n", options, m.uri, suite, components)
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
