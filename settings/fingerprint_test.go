package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFingerprint(t *testing.T) {
	dir := folder(t, map[string]string{"secrets/token2": "hunter2-header", "secrets/token": "hunter2-header", "secrets/signing": "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg=="})
	one := func(config string) string {
		t.Helper()
		f, err := load(t, dir, config, nil)
		if err != nil {
			t.Fatal(err)
		}
		return f.Environments[0].Exports[0].Fingerprint()
	}
	config := strings.Replace(secretive, "sendDirect: {active: false}", "sendDirect: {active: false, indexName: x}", 1)
	config = strings.Replace(config, "    exports:", "    managementZones: [{id: z, applications: [a, b]}]\n    exports:", 1)
	config = strings.Replace(config, "exportBehavior: {", "exportBehavior: {managementZone: z, ", 1)
	base := one(config)
	for range 3 {
		if one(config) != base {
			t.Fatal("the fingerprint of the same configuration differs")
		}
	}
	same := map[string][2]string{
		"defaults written out":    {"certFile=client.pem", "certFile=client.pem\\nmaxSessions=1000\\n# a comment"},
		"order of lines":          {"certFile=client.pem\\nkeyFile=client-key.pem", "keyFile=client-key.pem\\ncertFile=client.pem"},
		"another name of a file":  {"@token", "@token2"},
		"another export":          {"id: b", "id: c"},
		"what is ignored":         {"indexName: x", "indexName: y"},
		"other kafka credentials": {"hunter2-kafka", "hunter3"},
		"a default type":          {"usePost: true}", "usePost: true, contentType: application/json}"},
	}
	for what, change := range same {
		if got := strings.Replace(config, change[0], change[1], 1); got == config || one(got) != base {
			t.Errorf("%s: the fingerprint differs", what)
		}
	}
	other := map[string][2]string{
		"path": {"a.example/w", "a.example/v"}, "query": {"hunter2-query", "hunter3"}, "password": {"hunter2-basic", "hunter3"},
		"user": {"basicAuth: {username: exporter", "basicAuth: {username: other"}, "method": {"usePost: true", "usePost: false"},
		"enabled": {"enableUserSessionExport: true", "enableUserSessionExport: false"}, "zone": {"applications: [a, b]", "applications: [a]"},
		"limit": {"certFile=client.pem", "certFile=client.pem\\nmaxSessions=999"}, "id": {"id: a\n", "id: a1\n"},
		"name": {"id: a\n", "id: a\n        name: A\n"}, "header name": {"header.X-Key", "header.X-Other"},
		"start": {"certFile=client.pem", "certFile=client.pem\\nstartFrom=2026-01-01T00:00:00Z"},
		"alert": {"disableNotification: false", "disableNotification: true"}, "no zone": {"managementZone: z, ", ""},
	}
	for what, change := range other {
		if got := strings.Replace(config, change[0], change[1], 1); got == config || one(got) == base {
			t.Errorf("%s: the fingerprint is the same", what)
		}
	}
	// The content of files counts, not their names.
	cert, key := pair(t)
	for what, files := range map[string]map[string]string{
		"header secret": {"secrets/token": "hunter3"},
		"signing key":   {"secrets/signing": "aHVudGVyM2h1bnRlcjNodW50ZXIzaHVudGVyMw=="},
		"certificate":   {"client.pem": cert, "client-key.pem": key},
	} {
		before := map[string]string{}
		for name, content := range files {
			before[name] = swap(t, filepath.Join(dir, name), content)
		}
		if one(config) == base {
			t.Errorf("%s: the fingerprint is the same", what)
		}
		for name, content := range before {
			swap(t, filepath.Join(dir, name), content)
		}
	}
	if one(config) != base {
		t.Error("the fingerprint does not come back")
	}
}

// swap replaces the content of a file and returns what it was.
func swap(t *testing.T, path, content string) string {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return string(before)
}

func TestHash(t *testing.T) {
	dir := folder(t, nil)
	f, err := load(t, dir, complete, nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := load(t, dir, strings.Replace(complete, "level: info", "level: debug", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := load(t, dir, strings.Replace(complete, "passwordFile: sink.password", "password: hunter2", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	if f.Hash() == g.Hash() || f.Hash() != h.Hash() || len(f.Hash()) != 16 {
		t.Errorf("hashes: %s; another level %s; another secret %s", f.Hash(), g.Hash(), h.Hash())
	}
}
