package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// plant is a bug that is put into the program on purpose, to see that the
// count finds it. It exists in a build of its own and nowhere else: the
// compiler is given a changed copy of one file in place of the file.
type plant struct {
	name     string
	file     string // below the module's root
	old, new string
	caught   error // what the count must say
}

var plants = []plant{
	{
		name: "a commit before delivery", file: "dispatcher/machine.go", caught: errMissing,
		old: "	r.skip(next)\n",
		new: "	r.skip(next)\n	m.eff.mark(c.Partition, c.Epoch, next)\n",
	},
	{
		name: "every batch sent twice", file: "dispatcher/pipeline.go", caught: errDuplicates,
		old: "	go func() { results <- result{a: a, v: endpoint.Attempt(wire, a.body)} }()\n",
		new: "	go func() { endpoint.Attempt(wire, a.body); results <- result{a: a, v: endpoint.Attempt(wire, a.body)} }()\n",
	},
}

// build builds the program, with a bug or without one, and returns its path.
func build(ctx context.Context, dir, name string, bug *plant) (string, error) {
	args := []string{"build", "-o", filepath.Join(dir, name)}
	if bug != nil {
		overlay, err := bug.overlay(dir)
		if err != nil {
			return "", err
		}
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "sessionexport/cmd/session-export")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return filepath.Join(dir, name), nil
}

// overlay writes the changed copy and the list that names it.
func (b *plant) overlay(dir string) (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("looking for the module: %w", err)
	}
	file := filepath.Join(string(bytes.TrimSpace(out)), b.file)
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading what gets a bug: %w", err)
	}
	if n := bytes.Count(text, []byte(b.old)); n != 1 {
		return "", fmt.Errorf("%s has %q %d times, not once: the bug to plant there has to be looked at again", b.file, b.old, n)
	}
	changed := filepath.Join(dir, filepath.Base(b.file)+".planted")
	list := changed + ".json"
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {file: changed}})
	if err != nil {
		return "", fmt.Errorf("writing the overlay: %w", err)
	}
	for name, content := range map[string][]byte{changed: bytes.Replace(text, []byte(b.old), []byte(b.new), 1), list: overlay} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return "", fmt.Errorf("writing the overlay: %w", err)
		}
	}
	return list, nil
}
