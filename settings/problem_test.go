package settings

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files and the tables of the documentation")

// golden compares a text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (run with -update after reading it):\n%s", path, got)
	}
}

// TestMistakes shows what config check says of a configuration with every kind
// of mistake.
func TestMistakes(t *testing.T) {
	config, err := os.ReadFile("testdata/mistakes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t, nil)
	_, err = Parse(config, "config.yaml", dir, func(name string) (string, bool) {
		v, ok := map[string]string{"SESSION_EXPORT_LOG_FORMAT": "xml", "SESSION_EXPORT_KAFKA_SASL_USERNAME": "from-variable"}[name]
		return v, ok
	})
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("error is %v, want problems", err)
	}
	var b strings.Builder
	problems.Render(&b)
	got := strings.ReplaceAll(b.String(), dir, "/etc/session-export")
	golden(t, "mistakes.txt", got)
	if strings.Contains(got, "hunter2") || strings.Contains(got, "12345") {
		t.Error("the problems quote a secret")
	}
}
