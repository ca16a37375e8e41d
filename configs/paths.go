package configs

import (
	"os"
	"path/filepath"
)

// pathEnv names the configuration file when no flag does.
const pathEnv = "CROSSFADE_CONFIG"

// maxSocketPath is what the kernel takes in sun_path, less the NUL at its end.
const maxSocketPath = 107

// Path returns the file to load: the one given with -c, else $CROSSFADE_CONFIG, else ./crossfade.yaml.
func Path(flag string) string {
	if flag != "" {
		return flag
	}
	if path := os.Getenv(pathEnv); path != "" {
		return path
	}
	return "./crossfade.yaml"
}

// Dir is the directory of this migration: state_dir/NAME.
func (c *Config) Dir() string { return filepath.Join(c.StateDir, c.Name) }

// SocketPath is where the daemon listens: state_dir/NAME/sock.
func (c *Config) SocketPath() string { return filepath.Join(c.Dir(), "sock") }

func stateDir() string {
	return stateDirOf(os.Geteuid(), os.Getenv)
}

// stateDirOf returns the default state directory, or nothing where none can be named: then the key is required.
func stateDirOf(uid int, getenv func(string) string) string {
	if uid == 0 {
		return "/var/lib/crossfade"
	}
	// The XDG specification: a path that is not absolute is to be ignored.
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "crossfade")
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "crossfade")
	}
	return ""
}
