package demo

import (
	"regexp"
	"strings"
	"testing"

	"sessionexport/settings"
)

func TestConfigIsValid(t *testing.T) {
	sinks := Sinks()
	f := startReceiver(t, ReceiverOptions{Endpoints: Endpoints(sinks)})
	dir := t.TempDir()
	name, text, err := WriteConfig(ConfigOptions{
		Dir: dir, Brokers: []string{"127.0.0.1:9092", "127.0.0.1:9093"}, Topic: "sessions", Receiver: f.Receiver, Sinks: sinks,
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
		if e.ID != sinks[k].ID || e.EndpointDefinition.EndpointURL.String() != f.URL()+want.Path {
			t.Errorf("export %d is %s to %s", k, e.ID, e.EndpointDefinition.EndpointURL)
		}
		if string(e.Custom.Material().CA()) != string(f.CA()) {
			t.Errorf("%s trusts another authority", e.ID)
		}
		for _, c := range []*Credentials{want.Basic, want.OAuth} {
			if c != nil && strings.Contains(text, c.Password) {
				t.Errorf("the text has the secret of %s in it", e.ID)
			}
		}
		if want.Basic != nil && e.Authentication.BasicAuth.Password.Reveal() != want.Basic.Password {
			t.Errorf("%s has another password", e.ID)
		}
		if want.OAuth != nil && e.Authentication.OAuth2.ClientSecret.Reveal() != want.OAuth.Password {
			t.Errorf("%s has another client secret", e.ID)
		}
	}
	golden(t, "config.yaml", regexp.MustCompile(`127\.0\.0\.1:\d{4,5}/`).ReplaceAll([]byte(text), []byte("127.0.0.1:18443/")))
}

func TestConfigNeedsItsFolder(t *testing.T) {
	f := startReceiver(t, ReceiverOptions{Endpoints: everything})
	if name, _, err := WriteConfig(ConfigOptions{Dir: "/dev/null/x", Receiver: f.Receiver}); err == nil {
		t.Errorf("wrote %s", name)
	}
}
