package settings

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// Origin is the way a value came. It decides which files it may name.
type Origin uint8

// The origins.
const (
	FromFile Origin = iota // the configuration file: whoever writes it has the machine's trust
	FromAPI                // the API or the page: files within the directory of secrets alone
)

// Place is where a value came from and where the files that it names are.
type Place struct {
	Origin     Origin
	Folder     string         // relative file names of a configuration file start here
	SecretsDir string         // relative names of secrets start here; and everything that comes through the API
	Zones      []Zone         // the management zones that an export may name
	Deny       []netip.Prefix // networks that are never reached

	sources *Sources // notes what is read; nil: nothing
}

const (
	maxSecret = 64 << 10 // bytes of a secret file
	maxPEM    = 4 << 20  // bytes of a file of certificates; a system's bundle has a quarter of a megabyte
)

// secret reads the file of a secret, without the line break at its end.
func (p Place) secret(name string) (s Secret, message string) {
	data, message := p.read(p.SecretsDir, name, maxSecret)
	if message != "" {
		return Secret{}, message
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if value == "" {
		return Secret{}, fmt.Sprintf("names %s, which is empty", p.shown(p.SecretsDir, name))
	}
	return NewSecret(value), ""
}

// read reads a file that a value names: relative to base, or, through the API,
// within the directory of secrets.
func (p Place) read(base, name string, limit int64) (data []byte, message string) {
	if name != "" {
		defer func() { p.sources.saw(resolve(base, name), limit, data, message == "") }()
	}
	shown := p.shown(base, name)
	if name == "" {
		return nil, "names no file"
	}
	var stat func() (fs.FileInfo, error)
	var open func() (*os.File, error)
	if p.Origin == FromAPI {
		if !filepath.IsLocal(name) {
			return nil, "names a file outside the directory of secrets"
		}
		if p.SecretsDir == "" {
			return nil, "names a file, and there is no directory of secrets"
		}
		root, err := os.OpenRoot(p.SecretsDir)
		if err != nil {
			return nil, fmt.Sprintf("names %s, and the directory of secrets %s", shown, cause(err))
		}
		defer func() { _ = root.Close() }()
		stat = func() (fs.FileInfo, error) { return root.Stat(name) }
		open = func() (*os.File, error) { return root.Open(name) }
	} else {
		full := resolve(base, name)
		stat = func() (fs.FileInfo, error) { return os.Stat(full) } //nolint:gosec // the configuration file may name any file
		open = func() (*os.File, error) { return os.Open(full) }    //nolint:gosec // likewise
	}
	info, err := stat() // first: opening a pipe would wait for its writer
	switch {
	case err != nil:
		return nil, fmt.Sprintf("names %s, which %s", shown, cause(err))
	case !info.Mode().IsRegular():
		return nil, fmt.Sprintf("names %s, which is no regular file", shown)
	}
	f, err := open()
	if err != nil {
		return nil, fmt.Sprintf("names %s, which %s", shown, cause(err))
	}
	defer func() { _ = f.Close() }()
	data, err = io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Sprintf("names %s, which cannot be read", shown)
	case int64(len(data)) > limit:
		return nil, fmt.Sprintf("names %s, which is larger than %d bytes", shown, limit)
	}
	return data, ""
}

// shown is a file's name for people. Whoever comes through the API need not
// learn where the machine keeps its secrets.
func (p Place) shown(base, name string) string {
	if p.Origin == FromAPI {
		return quote(name)
	}
	return resolve(base, name)
}

func resolve(base, name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(base, name)
}

// cause says why a file cannot be had.
func cause(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "does not exist"
	case errors.Is(err, fs.ErrPermission):
		return "may not be read by this process"
	default:
		return "cannot be opened"
	}
}
