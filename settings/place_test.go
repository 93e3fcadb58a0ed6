package settings

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestOrigin is about which files a value may name.
func TestOrigin(t *testing.T) {
	dir := folder(t, map[string]string{"secrets/deep/token": "inside", "outside": "outside"})
	secrets := filepath.Join(dir, "secrets")
	for name, target := range map[string]string{"escape": "../outside", "absolute": filepath.Join(dir, "outside"), "inner": "deep/token"} {
		if err := os.Symlink(target, filepath.Join(secrets, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(secrets, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, api := Place{Origin: FromFile, SecretsDir: secrets}, Place{Origin: FromAPI, SecretsDir: secrets}
	for _, c := range []struct {
		place Place
		name  string
		want  string // content; "" = refused
	}{
		{file, "deep/token", "inside"}, {file, "inner", "inside"}, {file, "../outside", "outside"},
		{file, filepath.Join(dir, "outside"), "outside"}, {file, "escape", "outside"},
		{file, "pipe", ""}, {file, "deep", ""}, {file, "missing", ""}, {file, "", ""}, {file, "/dev/zero", ""},
		{api, "deep/token", "inside"}, {api, "inner", "inside"}, {api, "./deep/../deep/token", "inside"},
		{api, "../outside", ""}, {api, "deep/../../outside", ""}, {api, filepath.Join(dir, "outside"), ""},
		{api, "/etc/passwd", ""}, {api, "escape", ""}, {api, "absolute", ""}, {api, "pipe", ""}, {api, "deep", ""},
		{api, ".", ""}, {api, "missing", ""}, {Place{Origin: FromAPI}, "outside", ""},
		{Place{Origin: FromAPI, SecretsDir: filepath.Join(dir, "nowhere")}, "outside", ""},
	} {
		s, message := c.place.secret(c.name)
		if s.Reveal() != c.want || (message == "") != (c.want != "") {
			t.Errorf("origin %d, %q: %q, %q", c.place.Origin, c.name, s.Reveal(), message)
		}
		if c.place.Origin == FromAPI && strings.Contains(message, dir) {
			t.Errorf("%q: the API learns where secrets are: %q", c.name, message)
		}
	}
}

func TestSecretFile(t *testing.T) {
	dir := folder(t, map[string]string{
		"secrets/crlf": "a\r\n", "secrets/one": "a\n", "secrets/two": "a\n\n", "secrets/inner": "a\nb\n", "secrets/spaces": " a ",
		"secrets/blank": "\n", "secrets/none": "", "secrets/large": strings.Repeat("x", maxSecret+1),
	})
	place := Place{SecretsDir: filepath.Join(dir, "secrets")}
	for name, want := range map[string]string{
		"crlf": "a", "one": "a", "two": "a\n", "inner": "a\nb", "spaces": " a ", "blank": "", "none": "", "large": "",
	} {
		s, message := place.secret(name)
		if s.Reveal() != want {
			t.Errorf("%s: %q", name, s.Reveal())
		}
		if (want == "") != strings.Contains(message, filepath.Join("secrets", name)) {
			t.Errorf("%s: the message %q does not name the file", name, message)
		}
	}
}

func TestMaterial(t *testing.T) {
	cert, key := pair(t)
	_, other := pair(t)
	dir := folder(t, map[string]string{
		"cert.pem": cert, "key.pem": key, "other.pem": other, "both.pem": cert + key, "text.pem": "hunter2",
		"broken.pem":    "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n",
		"encrypted.pem": "-----BEGIN ENCRYPTED PRIVATE KEY-----\naHVudGVyMg==\n-----END ENCRYPTED PRIVATE KEY-----\n",
		"badkey.pem":    "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n",
		"many.pem":      "# a comment\n" + cert + "\n" + cert,
	})
	for _, c := range []struct{ ca, cert, key, want string }{
		{"cert.pem", "cert.pem", "key.pem", ""},
		{"many.pem", "", "", ""},
		{"", "both.pem", "both.pem", ""},
		{"missing.pem", "", "", "caFile: names " + dir + "/missing.pem, which does not exist"},
		{"text.pem", "", "", "caFile: names " + dir + "/text.pem, which holds no certificate in PEM form"},
		{"broken.pem", "", "", "caFile: names " + dir + "/broken.pem, which holds a certificate that cannot be parsed"},
		{"key.pem", "", "", "caFile: names " + dir + "/key.pem, which holds a private key, not the certificate of an authority"},
		{"", "cert.pem", "", "certFile: needs keyFile beside it"},
		{"", "", "key.pem", "keyFile: needs certFile beside it"},
		{"", "cert.pem", "other.pem", "keyFile: names " + dir + "/other.pem, which does not hold the key of the certificate"},
		{"", "cert.pem", "cert.pem", "keyFile: names " + dir + "/cert.pem, which holds no private key in PEM form"},
		{"", "cert.pem", "encrypted.pem", "keyFile: names " + dir + "/encrypted.pem, which holds an encrypted key: only a plain one can be used"},
		{"", "cert.pem", "badkey.pem", "keyFile: names " + dir + "/badkey.pem, which holds a private key that cannot be parsed"},
		{"", "text.pem", "key.pem", "certFile: names " + dir + "/text.pem, which holds no certificate in PEM form"},
		{"", "both.pem", "other.pem", "keyFile: names " + dir + "/other.pem, which does not hold the key of the certificate"},
	} {
		var got []string
		m := loadMaterial(Place{}, dir, c.ca, c.cert, c.key, func(key, message string) { got = append(got, key+": "+message) })
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%+v: %q", c, got)
		}
		if good := c.want == ""; good && (len(m.Certificates()) == 1) != (c.cert != "") || good && (m.RootCAs() != nil) != (c.ca != "") {
			t.Errorf("%+v: %d certificates, roots %v", c, len(m.Certificates()), m.RootCAs() != nil)
		}
	}
}
