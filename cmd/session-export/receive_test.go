package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sessionexport/demo"
	"sessionexport/settings"
)

// receiveOptions parses a command line without running anything.
func receiveOptions(t *testing.T, variable string, args ...string) (demo.ReceiveOptions, error) {
	t.Helper()
	f := receiveFlags{
		lookup: func(name string) (string, bool) { return variable, name == receiveSecret && variable != "" },
		prompt: func(_ context.Context, what string) (settings.Secret, bool) {
			return settings.NewSecret("asked for the " + what), true
		},
	}
	c := f.command()
	if err := c.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return f.options(t.Context(), c)
}

func TestReceiveFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from a file\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args     string
		variable string
		change   func(*demo.ReceiveOptions)
	}{
		{"", "", func(*demo.ReceiveOptions) {}},
		{"--listen 0.0.0.0:1 --host a.test,b.test --ca-out ca.pem", "", func(o *demo.ReceiveOptions) {
			o.Address, o.Hosts, o.CAOut = "0.0.0.0:1", []string{"0.0.0.0", "a.test", "b.test", name}, "ca.pem"
		}},
		{"--listen :8443", "", func(o *demo.ReceiveOptions) { o.Address, o.Hosts = ":8443", []string{name} }},
		{"--basic u", "from a variable", func(o *demo.ReceiveOptions) { o.Basic = &demo.Credentials{User: "u", Password: "from a variable"} }},
		{"--basic u --secret-file " + file, "from a variable", func(o *demo.ReceiveOptions) { o.Basic = &demo.Credentials{User: "u", Password: "from a file"} }},
		{"--oauth c --token-life 30s", "", func(o *demo.ReceiveOptions) {
			o.OAuth, o.TokenLife = &demo.Credentials{User: "c", Password: "asked for the secret of c"}, 30*time.Second
		}},
		{"--fail 500", "", func(o *demo.ReceiveOptions) { o.Faults = demo.Faults{Status: 500, StatusPercent: 100} }},
		{"--fail 429:30 --retry-after 5s --delay 2s", "", func(o *demo.ReceiveOptions) {
			o.Faults = demo.Faults{Status: 429, StatusPercent: 30, RetryAfter: 5 * time.Second, Delay: 2 * time.Second}
		}},
		{"--fail 301:7% --reset=20", "", func(o *demo.ReceiveOptions) { o.Faults = demo.Faults{Status: 301, StatusPercent: 7, ResetPercent: 20} }},
		{"--reset", "", func(o *demo.ReceiveOptions) { o.Faults = demo.Faults{ResetPercent: 100} }},
		{"--max-body 512KB --remember 10 --headers", "", func(o *demo.ReceiveOptions) { o.MaxBody, o.Remember, o.Headers = 512_000, 10, true }},
	} {
		want := demo.ReceiveOptions{
			Address: "127.0.0.1:8443", Hosts: []string{"127.0.0.1", name}, TokenLife: 5 * time.Minute, MaxBody: 64 << 20, Remember: demo.DefaultRemember,
		}
		c.change(&want)
		if got, err := receiveOptions(t, c.variable, strings.Fields(c.args)...); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\n%+v, want\n%+v", c.args, err, got, want)
		}
	}
}

func TestReceiveFlagsRefuse(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"--listen nowhere":                 "--listen",
		"--basic u --oauth c":              "exclude",
		"--basic u:secret":                 "a user alone",
		"--secret-file " + empty:           "needs --basic or --oauth",
		"--basic u --secret-file " + empty: "is empty",
		"--token-life 1m":                  "needs --oauth",
		"--oauth c --token-life 1ms":       "at least 1s",
		"--remember 0":                     "above 0",
		"--max-body 2GB":                   "no size",
		"--fail x":                         "201 to 599",
		"--fail 200":                       "201 to 599",
		"--fail 600":                       "201 to 599",
		"--fail 500:0":                     "1 to 100",
		"--fail 500:101":                   "1 to 100",
		"--retry-after 1s":                 "needs --fail",
		"--fail 503 --retry-after -1s":     "negative",
		"--delay -1s":                      "negative",
		"--reset=101":                      "0 to 100",
	} {
		var use *useError
		if _, err := receiveOptions(t, "", strings.Fields(args)...); !errors.As(err, &use) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a wrong use with %q", args, err, want)
		} else if strings.Contains(err.Error(), "u:secret") {
			t.Errorf("%s: the error shows the password: %v", args, err)
		}
	}
	if _, err := receiveOptions(t, "", "--basic", "u", "--secret-file", empty+".none"); err == nil {
		t.Error("a file that is not there is no mistake")
	}
}

func TestReceiveWithoutSecret(t *testing.T) {
	f := receiveFlags{
		lookup: func(string) (string, bool) { return "", true }, // set, and empty
		prompt: func(context.Context, string) (settings.Secret, bool) { return settings.Secret{}, false },
	}
	c := f.command()
	if err := c.ParseFlags([]string{"--basic", "u"}); err != nil {
		t.Fatal(err)
	}
	var use *useError
	if o, err := f.options(t.Context(), c); !errors.As(err, &use) || !strings.Contains(err.Error(), receiveSecret) || o.Basic != nil {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "7B": 7, "512KB": 512_000, "512 KiB": 512 << 10, "2MB": 2e6, "1024MiB": 1 << 30} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "-1", "KB", "1.5MB", "1025MiB", "99999999999999999999", "1GB", "1 K B"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}
