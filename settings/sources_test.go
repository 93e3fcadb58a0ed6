package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSources changes the files of a configuration in every way that there is.
func TestSources(t *testing.T) {
	dir := folder(t, map[string]string{"config.yaml": complete})
	path := filepath.Join(dir, "config.yaml")
	_, sources, err := Read(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	first, changed := sources.Changed()
	if changed {
		t.Fatal("changed before anything was")
	}
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rename := func(name, content string) {
		t.Helper()
		write(name+".next", content)
		if err := os.Rename(filepath.Join(dir, name+".next"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	cert, _ := pair(t)
	secret := ""
	for _, step := range []struct {
		what    string
		do      func()
		changed bool
	}{
		{"written again", func() { write("config.yaml", complete) }, false},
		{"renamed, the same", func() { rename("config.yaml", complete) }, false},
		{"another configuration", func() { write("config.yaml", complete+"\n# more\n") }, true},
		{"back", func() { rename("config.yaml", complete) }, false},
		{"a secret", func() { secret = swap(t, filepath.Join(dir, "secrets", "kafka.password"), "another") }, true},
		{"the secret back", func() { swap(t, filepath.Join(dir, "secrets", "kafka.password"), secret) }, false},
		{"an authority", func() { rename("ca.pem", cert) }, true},
		{"a file that is gone", func() { _ = os.Remove(filepath.Join(dir, "ca.pem")) }, true},
		{"a file that is not named", func() { write("other", "x") }, true}, // the authority is still gone
	} {
		step.do()
		now, got := sources.Changed()
		if got != step.changed {
			t.Errorf("%s: changed is %v", step.what, got)
		}
		if !got && now != first {
			t.Errorf("%s: unchanged, with another digest", step.what)
		}
	}
}

// After a mistake the files are known that the next attempt needs.
func TestSourcesOfMistakes(t *testing.T) {
	dir := folder(t, map[string]string{"config.yaml": complete})
	secret := filepath.Join(dir, "secrets", "kafka.password")
	if err := os.Remove(secret); err != nil {
		t.Fatal(err)
	}
	_, sources, err := Read(filepath.Join(dir, "config.yaml"), nil)
	if err == nil || !strings.Contains(err.Error(), "kafka.password") {
		t.Fatalf("without a secret: %v", err)
	}
	if _, changed := sources.Changed(); changed {
		t.Error("changed before anything was")
	}
	if err := os.WriteFile(secret, []byte("kafka-secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, changed := sources.Changed(); !changed {
		t.Error("the secret that was missing is there, and nothing changed")
	}
	// What cannot be read is the same as long as it cannot.
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "nowhere.yaml"), large, dir} {
		_, sources, err := Read(path, nil)
		if err == nil {
			t.Errorf("%s was read", path)
		}
		if _, changed := sources.Changed(); changed {
			t.Errorf("%s changed before anything was", path)
		}
	}
}
