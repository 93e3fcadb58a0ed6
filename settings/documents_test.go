package settings

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// cell writes a text into a cell of a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// table renders keys as the documentation shows them. Sections of the file
// begin where the first word of the path changes.
func table(keys []Key, custom bool) string {
	var b strings.Builder
	section := ""
	for _, k := range keys {
		first, name := "", k.Path
		switch {
		case custom:
		case strings.HasPrefix(k.Path, exportRule+"."):
			first, name = "environments[].exports[]", strings.TrimPrefix(k.Path, exportRule+".")
		case strings.Contains(k.Path, "."):
			first, _, _ = strings.Cut(k.Path, ".")
		case k.Path == "environments":
			first = "environments[]"
		default:
			first = "general"
		}
		if b.Len() == 0 || first != section {
			section = first
			if !custom {
				title := strings.ReplaceAll(first, "[]", "")
				fmt.Fprintf(&b, "\n### %s\n", map[bool]string{true: "General", false: "`" + title + "`"}[first == "general"])
			}
			b.WriteString("\n| key | type | default | accepts | meaning |\n|---|---|---|---|---|\n")
		}
		def := code(k.Default)
		if k.Required {
			def = "required"
		}
		doc := k.Doc
		if k.Variable != "" {
			doc += " " + code(k.Variable)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", name, k.Type, def, cell(k.Range), cell(doc))
	}
	b.WriteString("\n")
	return b.String()
}

// TestDocumentation compares the tables of docs/configuration.md with the
// rules that the code goes by.
func TestDocumentation(t *testing.T) {
	const path = "../docs/configuration.md"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	document := string(data)
	for name, want := range map[string]string{"file": table(Keys(), false), "custom": table(CustomTable(), true)} {
		begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->\n"
		_, rest, ok := strings.Cut(document, begin)
		got, _, closed := strings.Cut(rest, end)
		if !ok || !closed {
			t.Fatalf("%s has no part between %q and %q", path, begin, end)
		}
		if got == want {
			continue
		}
		if !*update {
			t.Errorf("the %s table of %s is not what the code does (run with -update)", name, path)
		}
		document = strings.Replace(document, begin+got+end, begin+want+end, 1)
	}
	if *update {
		if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestExample loads the example as it is, and once more with everything that
// is commented out, and finds every key in it.
func TestExample(t *testing.T) {
	data, err := os.ReadFile("../deploy/config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t, map[string]string{
		"secrets/receiver.password": "p", "secrets/receiver.key": "k", "secrets/partner.secret": "s", "secrets/search.authorization": "ApiKey x",
		"secrets/webhook.key": "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg==", "secrets/notification-services": "slack://a@b\n",
	})
	short, err := load(t, dir, string(data), nil)
	if err != nil {
		t.Fatalf("as it is:\n%v", err)
	}
	whole := regexp.MustCompile(`(?m)^( *)#([^# ])`).ReplaceAllString(string(data), "$1$2")
	long, err := load(t, dir, whole, nil)
	if err != nil {
		t.Fatalf("with everything that is commented out:\n%v", err)
	}
	if a, b := short.Environments[0].Exports[1], long.Environments[0].Exports[1]; a.Custom.MaxBytes != b.Custom.MaxBytes || a.Authentication.OAuth2.GrantType != b.Authentication.OAuth2.GrantType {
		t.Error("what stands behind # is not the default")
	}
	if long.Environments[0].Exports[0].Zone == nil || len(long.Environments[0].Exports[2].Custom.Headers) != 1 {
		t.Error("not everything was read")
	}
	mentioned := func(name string) bool { return strings.Contains(whole, name+":") || strings.Contains(whole, name+"=") }
	for _, k := range append(Keys(), CustomTable()...) {
		name := lastKey(k.Path)
		if k.Path == "header.<Name>" {
			name = "header.X-Api-Key"
		}
		if k.Type == "secret" || k.Type == "list of secrets" {
			name += "File"
		}
		if !mentioned(name) {
			t.Errorf("the example does not mention %s", k.Path)
		}
	}
}
