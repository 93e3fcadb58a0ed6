package demo

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"sessionexport/settings"
)

func startReceivers(t *testing.T, sinks []Sink, o ReceiverOptions) Receivers {
	t.Helper()
	r, err := StartReceivers(sinks, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestConfigIsValid(t *testing.T) {
	for name, hurried := range map[string]bool{"config.yaml": false, "config-hurried.yaml": true} {
		t.Run(name, func(t *testing.T) { checkConfig(t, name, hurried) })
	}
}

func checkConfig(t *testing.T, expected string, hurried bool) {
	t.Helper()
	sinks := Sinks()
	at := startReceivers(t, sinks, ReceiverOptions{})
	name, text, err := WriteConfig(ConfigOptions{
		Dir: t.TempDir(), Brokers: []string{"127.0.0.1:9092", "127.0.0.1:9093"}, Topic: "sessions", Sinks: sinks, At: at, Hurried: hurried,
	})
	if err != nil {
		t.Fatal(err)
	}
	file, err := settings.Load(name, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	exports := file.Environments[0].Exports
	if len(exports) != len(sinks) || len(file.Kafka.Brokers) != 2 || file.Environments[0].Topic != "sessions" {
		t.Fatalf("%d exports, brokers %v", len(exports), file.Kafka.Brokers)
	}
	for k, e := range exports {
		want := sinks[k].Endpoint
		if e.ID != sinks[k].ID || e.EndpointDefinition.EndpointURL.String() != at[k].URL()+want.Path {
			t.Errorf("export %d is %s to %s", k, e.ID, e.EndpointDefinition.EndpointURL)
		}
		if string(e.Custom.Material().CA()) != string(at.CA()) {
			t.Errorf("%s trusts other authorities", e.ID)
		}
		if (e.Custom.RequestTimeout == 2*time.Second) != hurried {
			t.Errorf("an attempt of %s may take %v", e.ID, e.Custom.RequestTimeout)
		}
		for _, c := range []*Credentials{want.Basic, want.OAuth} {
			if c != nil && strings.Contains(text, c.Password) {
				t.Errorf("the text has the secret of %s in it", e.ID)
			}
		}
		if want.Basic != nil && e.Authentication.BasicAuth.Password.Reveal() != want.Basic.Password {
			t.Errorf("%s has another password", e.ID)
		}
		if want.OAuth != nil && (e.Authentication.OAuth2.ClientSecret.Reveal() != want.OAuth.Password ||
			e.Authentication.OAuth2.AccessTokenURL.String() != at[k].URL()+TokenPath) {
			t.Errorf("%s has another client secret or token server", e.ID)
		}
	}
	golden(t, expected, regexp.MustCompile(`127\.0\.0\.1:\d{4,5}/`).ReplaceAll([]byte(text), []byte("127.0.0.1:18443/")))
}

func TestConfigNeedsItsFolder(t *testing.T) {
	sinks := Sinks()
	if name, _, err := WriteConfig(ConfigOptions{Dir: "/dev/null/x", Sinks: sinks, At: startReceivers(t, sinks, ReceiverOptions{})}); err == nil {
		t.Errorf("wrote %s", name)
	}
}
