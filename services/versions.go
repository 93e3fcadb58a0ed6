//go:build services

package services

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Matrix names the environment variable that says how many versions of each service the tests run against: "full" for
// all that tools/versions.env names, anything else for the pinned ones alone.
const Matrix = "SESSION_EXPORT_MATRIX"

// Root returns the folder of the module, in or below which the test runs.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("finding the module: no go.mod in any folder above")
		}
		dir = filepath.Dir(dir)
	}
}

// Pin returns a value of tools/versions.env.
func Pin(key string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	pins, err := os.ReadFile(filepath.Join(root, "tools", "versions.env"))
	if err != nil {
		return "", fmt.Errorf("reading pinned versions: %w", err)
	}
	for line := range strings.Lines(string(pins)) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), key+"="); found {
			return value, nil
		}
	}
	return "", fmt.Errorf("no %s in tools/versions.env", key)
}

// Versions returns the versions of a service, such as "kafka", to test: the pinned one, which is KAFKA_VERSION, and with
// the full matrix those of KAFKA_MATRIX after it, which are separated by commas. Either may be empty.
func Versions(service string) ([]string, error) {
	key := strings.ToUpper(service)
	pinned, err := Pin(key + "_VERSION")
	if err != nil {
		return nil, err
	}
	if os.Getenv(Matrix) != "full" {
		if pinned == "" {
			return nil, nil
		}
		return []string{pinned}, nil
	}
	return AllVersions(service)
}

// AllVersions returns the pinned version of a service and those of its matrix. Without the full matrix install.sh fetches
// them of Kafka alone.
func AllVersions(service string) ([]string, error) {
	key := strings.ToUpper(service)
	pinned, err := Pin(key + "_VERSION")
	if err != nil {
		return nil, err
	}
	more, err := Pin(key + "_MATRIX")
	if err != nil {
		return nil, err
	}
	var versions []string
	for version := range strings.SplitSeq(pinned+","+more, ",") {
		if version != "" {
			versions = append(versions, version)
		}
	}
	return versions, nil
}

// Installed returns the folder into which install.sh has put a service, such as "kafka", of a version; "" is the pinned
// one.
func Installed(service, version string) (string, error) {
	if version == "" {
		var err error
		if version, err = Pin(strings.ToUpper(service) + "_VERSION"); err != nil {
			return "", err
		}
	}
	cache, err := CacheFolder()
	if err != nil {
		return "", err
	}
	home := filepath.Join(cache, service+"-"+version)
	if _, err := os.Stat(home); err != nil {
		return "", fmt.Errorf("finding %s %s, run `make services-install` first, with %s=full for all versions: %w",
			service, version, Matrix, err)
	}
	return home, nil
}

// CacheFolder is the cache of install.sh.
func CacheFolder() (string, error) {
	if cache := os.Getenv("SESSION_EXPORT_CACHE"); cache != "" {
		return cache, nil
	}
	if os.Geteuid() == 0 {
		return "/var/cache/session-export", nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache: %w", err)
	}
	return filepath.Join(home, ".cache", "session-export"), nil
}
