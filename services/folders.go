//go:build services

package services

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// unprivileged is the user and group (nobody, nogroup) as whom services run when the tests run as root: Elasticsearch
// refuses root.
const unprivileged = 65534

const workPrefix = "session-export-services-" // then the process id of the test, then something random

// WorkFolder makes a folder that a service may write to, whoever runs the tests.
func WorkFolder() (string, error) {
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", workPrefix, os.Getpid()))
	if err != nil {
		return "", fmt.Errorf("making a work folder: %w", err)
	}
	if err := GiveAway(dir); err != nil {
		return "", err
	}
	return dir, nil
}

// sweepSockets removes the sockets of JVMs that were killed. A JVM that lets itself be attached to, as Elasticsearch 9 does when
// it starts, has its socket in /tmp, whatever its options say.
func sweepSockets() error {
	const prefix = "/tmp/.java_pid" // then the process id
	sockets, err := filepath.Glob(prefix + "*")
	if err != nil {
		return fmt.Errorf("looking for sockets of JVMs: %w", err)
	}
	user := os.Geteuid()
	if user == 0 {
		user = unprivileged
	}
	for _, socket := range sockets {
		pid, err := strconv.Atoi(strings.TrimPrefix(socket, prefix))
		if err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		var status syscall.Stat_t
		if err := syscall.Lstat(socket, &status); err != nil || int(status.Uid) != user {
			continue // gone, or somebody else's
		}
		if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing the socket of a JVM: %w", err)
		}
	}
	return nil
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

// GiveAway makes the unprivileged user the owner of a file or folder and of all that is in it.
func GiveAway(path string) error {
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
