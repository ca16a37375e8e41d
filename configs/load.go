package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// keyDelimiter joins keys for viper. Its own, the dot, stands in names.
const keyDelimiter = "::"

// maxFile bounds what is read: a configuration is small, and whoever names a device or a dump should hear it.
const maxFile = 1 << 20

// Load reads the configuration file, the CROSSFADE_ variables over it, and the files with secrets that it names.
//
// What it returns has the right shape and is not yet known to make sense: that is [Config.Validate]. Where Load itself finds
// mistakes, it reports with them those that Validate finds, so that one run shows all.
func Load(path string) (*Config, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return load(path, text, os.LookupEnv)
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Mistake{Path: path, Problem: "there is no such configuration file", Remedy: "name one with -c FILE or $" + pathEnv, err: err}
	}
	if err != nil {
		return nil, &Mistake{Path: path, Problem: err.Error(), Remedy: "make it readable for this user, or name another with -c FILE", err: err}
	}
	defer file.Close() // opened for reading: there is nothing to lose
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, &Mistake{Path: path, Problem: err.Error(), Remedy: "name a readable file with -c FILE", err: err}
	}
	if len(text) > maxFile {
		return nil, &Mistake{Path: path, Problem: "is larger than 1 MiB", Remedy: "name a configuration file with -c FILE"}
	}
	return text, nil
}

func load(path string, text []byte, find lookup) (*Config, error) {
	tree, err := parse(path, text)
	if err != nil {
		return nil, err
	}
	r := reader{find: find, overridden: map[string]bool{}}
	v := viper.NewWithOptions(viper.KeyDelimiter(keyDelimiter))
	for _, key := range scalarKeys("", reflect.TypeFor[Config]()) {
		value, ok := find(key.env())
		if !ok {
			continue
		}
		r.overridden[key.path] = true
		if _, err := convert(key.typ, value); err != nil {
			r.mistakes.fail(key.path, fromVariable(key, err))
			continue
		}
		// Set and not BindEnv: viper would look into the environment of the process, and twice.
		v.Set(strings.ReplaceAll(key.path, ".", keyDelimiter), value)
	}
	known, ok := r.section("", reflect.TypeFor[Config](), tree)
	if !ok {
		return nil, r.mistakes.join()
	}
	if err := v.MergeConfigMap(known.(map[string]any)); err != nil {
		return nil, fmt.Errorf("merge configuration %s: %w", path, err)
	}

	cfg := Default()
	if v.IsSet("cutover" + keyDelimiter + "guards") {
		cfg.Cutover.Guards = nil // else an entry would take from the default at its place what it does not say
	}
	if err := v.UnmarshalExact(&cfg, decoding); err != nil {
		return nil, fmt.Errorf("decode configuration %s: %w", path, err)
	}
	cfg.readPasswords(&r.mistakes)
	if len(r.mistakes) > 0 {
		found := r.mistakes
		return nil, append(found, cfg.mistakes().without(found)...).join()
	}
	return &cfg, nil
}

func fromVariable(key scalarKey, err error) error {
	var f *fault
	if !errors.As(err, &f) {
		return err
	}
	return &fault{problem: "from " + key.env() + ": " + f.problem, remedy: f.remedy, err: f.err}
}

// parse reads the YAML. It is not viper's reader, which lower-cases keys and reads the first of several documents.
func parse(path string, text []byte) (map[string]any, error) {
	tree := map[string]any{}
	var raw any
	docs := yaml.NewDecoder(bytes.NewReader(text))
	if err := docs.Decode(&raw); errors.Is(err, io.EOF) {
		return tree, nil // empty, or comments only
	} else if err != nil {
		return nil, &Mistake{Path: path, Problem: "is no valid YAML: " + withoutValues(err), Remedy: "mend it there; values with : # { [ or a leading * & ! need quotes", err: err}
	}
	var more any
	if err := docs.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, &Mistake{Path: path, Problem: "holds more than one document", Remedy: "remove the --- between them; a file configures one migration"}
	}
	if raw == nil {
		return tree, nil
	}
	tree, ok := raw.(map[string]any)
	if !ok {
		return nil, &Mistake{Path: path, Problem: "must hold keys, not " + kindOf(raw), Remedy: "write keys such as name: shop"}
	}
	return tree, nil
}

var yamlValue = regexp.MustCompile("`[^`]*`|invalid map key: .*")

// withoutValues leaves from an error of the YAML parser what shows no value of the file.
func withoutValues(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if several, ok := errors.AsType[*yaml.TypeError](err); ok {
		text = strings.Join(several.Errors, ", ")
	}
	return yamlValue.ReplaceAllString(text, "a value")
}

// decoding makes mapstructure read our types, take nothing for something else, and name keys by the tag they are written by.
func decoding(c *mapstructure.DecoderConfig) {
	c.TagName = "yaml"
	c.WeaklyTypedInput = false
	c.DecodeHook = func(_, to reflect.Type, raw any) (any, error) {
		switch {
		case isScalar(to):
			return convert(to, raw)
		case to == typeReverse && raw == reverseKeep:
			return Reverse{Keep: true}, nil
		default:
			return raw, nil
		}
	}
}

// readPasswords puts the passwords of the files into the URLs they belong to.
func (c *Config) readPasswords(ms *mistakes) {
	for _, p := range c.passwords() {
		if p.file == "" {
			continue
		}
		switch {
		case p.url.IsZero():
			ms.add(p.path, "there is no "+p.urlPath+" that it belongs to", "give that too or remove it")
			continue
		case !p.url.Password().IsZero():
			ms.add(p.path, "the password stands in "+p.urlPath+" too", "remove one of them")
			continue
		}
		password, err := readPassword(p.file)
		if err != nil {
			ms.fail(p.path, err)
			continue
		}
		*p.url = p.url.WithPassword(password)
	}
}

type passwordFile struct {
	path, file string
	urlPath    string
	url        *URL
}

// passwords lists the URLs of databases and streams: beside each stands a key for the file with its password.
func (c *Config) passwords() []passwordFile {
	all := []passwordFile{
		{"source.password_file", c.Source.PasswordFile, "source.url", &c.Source.URL},
		{"source.read_password_file", c.Source.ReadPasswordFile, "source.read_url", &c.Source.ReadURL},
		{"source.probe_password_file", c.Source.ProbePasswordFile, "source.probe_url", &c.Source.ProbeURL},
		{"target.password_file", c.Target.PasswordFile, "target.url", &c.Target.URL},
		{"target.probe_password_file", c.Target.ProbePasswordFile, "target.probe_url", &c.Target.ProbeURL},
		{"stream.password_file", c.Stream.PasswordFile, "stream.url", &c.Stream.URL},
	}
	for i, step := range c.Cutover.Switch {
		if step.PgBouncer != nil {
			path := fmt.Sprintf("cutover.switch[%d].pgbouncer.", i)
			all = append(all, passwordFile{path + "password_file", step.PgBouncer.PasswordFile, path + "admin", &step.PgBouncer.Admin})
		}
	}
	return all
}

// readPassword reads a file with one secret. Editors end it with a newline that is not part of it.
func readPassword(path string) (Secret, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Secret{}, &fault{problem: err.Error(), remedy: "make it a file that this user can read", err: err}
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if password == "" || strings.ContainsAny(password, "\n\x00") {
		return Secret{}, &fault{problem: path + " is empty or holds several lines", remedy: "write the password alone into it"}
	}
	return NewSecret(password), nil
}
