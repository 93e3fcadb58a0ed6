package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

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

// What serve would refuse is found by config check as well, and no secret is shown.
func TestServiceURLsAreChecked(t *testing.T) {
	const secret = "hunter2-token"
	path := filepath.Join(t.TempDir(), "config.yaml")
	text := "version: 1\nkafka: {brokers: [\"127.0.0.1:9092\"]}\nenvironments: [{id: default, topic: sessions, exports: []}]\n" +
		"alerts: {shoutrrr: [\"generic://hooks.example/" + secret + "\", \"gotify://hooks.example/" + secret + "\"]}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*cobra.Command{"check": configCommand(), "test": alertsCommand(), "serve": serveCommand()} {
		c.SilenceErrors, c.SilenceUsage = true, true
		c.SetArgs(map[string][]string{"check": {"check", path}, "test": {"test", "--config", path}, "serve": {"--config", path}}[name])
		err := c.ExecuteContext(t.Context())
		var problems settings.Problems
		if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Path != "alerts.shoutrrr[1]" ||
			!strings.Contains(err.Error(), "not supported") || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
