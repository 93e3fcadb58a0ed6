package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sessionexport/settings"
)

func TestAlertsTestCommand(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := "version: 1\nkafka: {brokers: [\"127.0.0.1:9092\"]}\nenvironments: [{id: default, topic: sessions, exports: []}]\n"
	try := func(config string) (string, error) {
		c := alertsCommand()
		var out bytes.Buffer
		c.SetOut(&out)
		c.SetErr(&out)
		c.SilenceErrors, c.SilenceUsage = true, true
		c.SetArgs([]string{"test", "--config", config})
		err := c.ExecuteContext(t.Context())
		return out.String(), err
	}
	if out, err := try(file("nobody.yaml", good)); err != nil || !strings.Contains(out, "nobody to notify") {
		t.Errorf("%v: %s", err, out)
	}
	// Port 9 takes no connection; the key of the address stays secret.
	out, err := try(file("away.yaml", good+"alerts: {alertmanager: [\"http://127.0.0.1:9/?key=hunter2\"]}\n"))
	if err == nil || report(err) != exitFailed || !strings.Contains(out, "alertmanager-1   failed: ") || strings.Contains(out+err.Error(), "hunter2") {
		t.Errorf("%v: %s", err, out)
	}
	_, err = try(file("mistake.yaml", good+"alerts: {alertmanager: [\"ftp://127.0.0.1\"]}\n"))
	var problems settings.Problems
	if !errors.As(err, &problems) {
		t.Errorf("got %v", err)
	}
}
