package settings

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestRulesMatchTypes keeps the table of rules and the types together: every
// field has a rule with a documentation, no rule is left over, and every
// default is a value that its own rule accepts.
func TestRulesMatchTypes(t *testing.T) {
	paths := map[string]reflect.Type{}
	var collect func(reflect.Type, string)
	collect = func(typ reflect.Type, at string) {
		for _, f := range fields(typ) {
			path := join(at, f.Tag.Get("key"))
			paths[path] = f.Type
			switch {
			case scalar(f.Type):
			case f.Type.Kind() == reflect.Slice && !scalar(f.Type.Elem()):
				collect(f.Type.Elem(), path+"[]")
			case f.Type.Kind() == reflect.Struct:
				collect(f.Type, path)
			}
		}
	}
	collect(reflect.TypeFor[File](), "")
	for path, typ := range paths {
		ru, ok := rules[path]
		if !ok || ru.doc == "" {
			t.Errorf("%s has no documented rule", path)
		}
		checkDefault(t, path, typ, ru)
	}
	for path := range rules {
		if paths[path] == nil {
			t.Errorf("the rule of %s belongs to no field", path)
		}
	}
	custom := reflect.TypeFor[Custom]()
	for _, f := range fields(custom) {
		name := f.Tag.Get("key")
		ru, ok := customRules[name]
		if !ok || ru.doc == "" {
			t.Errorf("%s has no documented rule", name)
		}
		checkDefault(t, name, f.Type, ru)
	}
	if len(customRules) != len(fields(custom)) {
		t.Errorf("%d rules for %d keys of the custom configuration", len(customRules), len(fields(custom)))
	}
}

func checkDefault(t *testing.T, path string, typ reflect.Type, ru rule) {
	t.Helper()
	if ru.def == "" {
		return
	}
	if message := ru.set(reflect.New(typ).Elem(), ru.def); message != "" {
		t.Errorf("%s: the default %q %s", path, ru.def, message)
	}
}

func TestVariable(t *testing.T) {
	for path, want := range map[string]string{
		"kafka.brokers":           "SESSION_EXPORT_KAFKA_BROKERS",
		"kafka.tls.caFile":        "SESSION_EXPORT_KAFKA_TLS_CA_FILE",
		"kafka.sasl.passwordFile": "SESSION_EXPORT_KAFKA_SASL_PASSWORD_FILE",
		"deadLetters.topic":       "SESSION_EXPORT_DEAD_LETTERS_TOPIC",
		"secretsDir":              "SESSION_EXPORT_SECRETS_DIR",
		"version":                 "SESSION_EXPORT_VERSION",
		"environments[].id":       "",
	} {
		if got := Variable(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// TestVariablesOverride sets the variable of every scalar outside of the
// environments, found by reflection, first to a good value that must arrive,
// then to a bad one that must be named.
func TestVariablesOverride(t *testing.T) {
	good := map[string]string{
		"version": "1", "secretsDir": "secrets", "kafka.brokers": "k1:9092, k2:9092", "kafka.fetchBytes": "2000000",
		"kafka.tls.enabled": "false", "kafka.sasl.mechanism": "PLAIN", "kafka.sasl.passwordFile": "sink.password",
		"kafka.tls.certFile": "client.pem", "kafka.tls.keyFile": "client-key.pem", "kafka.tls.caFile": "ca.pem",
		"alerts.shoutrrr": "slack://token@channel", "alerts.shoutrrrFile": "services",
		"alerts.alertmanager": "http://alerts:9093,https://alerts.example", "server.address": ":9000", "server.pprofAddress": "[::1]:6060",
		"shutdown.grace": "90s", "log.level": "debug", "log.format": "text", "egress.allow": "10.0.0.0/8,192.168.0.1", "egress.deny": "::1",
	}
	arrived := map[string]string{
		"secretsDir": "DIR/secrets", "kafka.brokers": "[k1:9092 k2:9092]", "kafka.sasl.password": "***", "alerts.shoutrrr": "[***]",
		"alerts.alertmanager": "[http://alerts:9093 https://alerts.example]", "egress.allow": "[10.0.0.0/8 192.168.0.1/32]", "egress.deny": "[::1/128]", "shutdown.grace": "1m30s",
	}
	dir := folder(t, map[string]string{"secrets/services": "# two of them\nslack://a@b\n\nsmtp://c@d\n"})
	const fallback = "from-variable"
	for _, k := range Keys() {
		if k.Variable == "" {
			if !strings.HasPrefix(k.Path, "environments") {
				t.Errorf("%s has no variable", k.Path)
			}
			continue
		}
		value := good[k.Path]
		if value == "" {
			value = fallback
		}
		f, err := load(t, dir, complete, map[string]string{k.Variable: value})
		if err != nil {
			t.Errorf("%s=%s: %v", k.Variable, value, err)
			continue
		}
		if strings.HasSuffix(k.Path, "passwordFile") {
			if got := f.Kafka.SASL.Password.Reveal(); got != "sink-secret" {
				t.Errorf("%s: the password is %q", k.Variable, got)
			}
		} else if k.Path == "alerts.shoutrrrFile" {
			if len(f.Alerts.Shoutrrr) != 2 || f.Alerts.Shoutrrr[1].Reveal() != "smtp://c@d" {
				t.Errorf("%s: %d services", k.Variable, len(f.Alerts.Shoutrrr))
			}
		} else {
			want := arrived[k.Path]
			if want = strings.ReplaceAll(want, "DIR", dir); want == "" {
				want = value
			}
			if got := words(field(reflect.ValueOf(f).Elem(), k.Path)); got != want {
				t.Errorf("%s=%s: %s is %q, want %q", k.Variable, value, k.Path, got, want)
			}
		}
		bad := "no/such value\x7f:"
		_, err = load(t, dir, complete, map[string]string{k.Variable: bad})
		unchecked := k.Path == "secretsDir" || strings.HasPrefix(k.Path, "kafka.sasl.user") || k.Path == "kafka.sasl.password"
		if unchecked && k.Path != "secretsDir" {
			_, err = load(t, dir, complete, map[string]string{k.Variable: strings.Repeat("x", 501)})
		}
		if k.Path == "secretsDir" {
			if err == nil || !strings.Contains(err.Error(), "no/such value") {
				t.Errorf("%s: a folder that is not there is not named: %v", k.Variable, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), k.Variable+": "+strings.TrimSuffix(k.Path, "[0]")) {
			t.Errorf("%s: the bad value is not reported with the variable: %v", k.Variable, err)
		}
		// An empty variable is none.
		if _, err = load(t, dir, complete, map[string]string{k.Variable: ""}); err != nil {
			t.Errorf("%s empty: %v", k.Variable, err)
		}
	}
}

// field finds the value of a key.
func field(v reflect.Value, path string) reflect.Value {
	for name := range strings.SplitSeq(path, ".") {
		for _, f := range fields(v.Type()) {
			if f.Tag.Get("key") == name {
				v = v.FieldByIndex(f.Index)
				break
			}
		}
	}
	return v
}

func words(v reflect.Value) string {
	return fmt.Sprint(v.Interface())
}

func TestUnknownVariables(t *testing.T) {
	got := UnknownVariables([]string{
		"PATH=/bin", "SESSION_EXPORT_KAFKA_BROKER=x:1", "SESSION_EXPORT_KAFKA_BROKERS=x:1", "SESSION_EXPORT_ZZZZZZZZZZZZZZZ=hunter2",
		"SESSION_EXPORT_SERVICE_HOST=10.0.0.1", "SESSION_EXPORT_PORT=tcp://10.0.0.1:8080", "SESSION_EXPORT_PORT_8080_TCP_ADDR=10.0.0.1", "SESSION_EXPORT_SERVICE_PORT_HTTP=80",
	})
	want := []string{
		"SESSION_EXPORT_KAFKA_BROKER is set, and no key has this variable; is SESSION_EXPORT_KAFKA_BROKERS meant?",
		"SESSION_EXPORT_ZZZZZZZZZZZZZZZ is set, and no key has this variable",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
