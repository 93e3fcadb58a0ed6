//go:build services

package services

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// unprivileged is the user and group (nobody, nogroup) as whom services run when the tests run as root: Elasticsearch
// refuses root.
const unprivileged = 65534

// installed returns the folder into which install.sh has put a service: "kafka" or "elasticsearch".
func installed(service string) (string, error) {
	versions, err := os.ReadFile("../tools/versions.env")
	if err != nil {
		return "", fmt.Errorf("reading pinned versions: %w", err)
	}
	key := strings.ToUpper(service) + "_VERSION="
	for line := range strings.Lines(string(versions)) {
		version, found := strings.CutPrefix(strings.TrimSpace(line), key)
		if !found {
			continue
		}
		cache, err := cacheFolder()
		if err != nil {
			return "", err
		}
		home := filepath.Join(cache, service+"-"+version)
		if _, err := os.Stat(home); err != nil {
			return "", fmt.Errorf("finding %s, run `make services-install` first: %w", service, err)
		}
		return home, nil
	}
	return "", fmt.Errorf("no %s in tools/versions.env", key)
}

// cacheFolder is the cache of install.sh.
func cacheFolder() (string, error) {
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

const workPrefix = "session-export-services-" // then the process id of the test, then something random

// workFolder makes a folder that a service may write to, whoever runs the tests.
func workFolder() (string, error) {
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", workPrefix, os.Getpid()))
	if err != nil {
		return "", fmt.Errorf("making a work folder: %w", err)
	}
	if err := giveAway(dir); err != nil {
		return "", err
	}
	return dir, nil
}

// sweep removes the work folders of tests that were killed before they could.
func sweep() error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), workPrefix+"*"))
	if err != nil {
		return fmt.Errorf("looking for old work folders: %w", err)
	}
	for _, dir := range dirs {
		id, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), workPrefix), "-")
		pid, err := strconv.Atoi(id)
		if err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("removing an old work folder: %w", err)
		}
	}
	return nil
}

// giveAway makes the unprivileged user the owner of a file or folder and of all that is in it.
func giveAway(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return filepath.WalkDir(path, func(name string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, unprivileged, unprivileged)
	})
}
