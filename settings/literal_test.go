package settings

import (
	"strings"
	"testing"
)

// TestLiteral writes a custom configuration in the forms that YAML has for
// texts of several lines.
func TestLiteral(t *testing.T) {
	dir := folder(t, nil)
	const place = `exportBehavior: {managementZone: "7", disableNotification: false, customConfiguration: "caFile=ca.pem"}`
	for what, c := range map[string]struct{ text, want string }{
		"literal":                   {"|\n            maxSessions=7\n            maxRetries=x\n", "config.yaml:24:1: "},
		"literal, stripped":         {"|-\n            maxSessions=7\n\n            maxRetries=x\n", "config.yaml:25:1: "},
		"literal with an indent":    {"|2\n            maxSessions=7\n            maxRetries=x\n", "config.yaml:24:1: "},
		"literal behind a comment":  {"| # limits\n            maxSessions=7\n            maxRetries=x\n", "config.yaml:24:1: "},
		"quoted":                    {`"maxSessions=7\nmaxRetries=x"` + "\n", "config.yaml:22:32: "},
		"quoted, over several rows": {"\"maxSessions=7\\n\n            maxRetries=x\"\n", "config.yaml:22:32: "},
	} {
		block := "exportBehavior:\n          managementZone: \"7\"\n          disableNotification: false\n          customConfiguration: "
		for _, end := range []string{"\n", "\r\n"} {
			bad := strings.ReplaceAll(strings.Replace(complete, place+"\n", block+c.text, 1), "\n", end)
			_, err := load(t, dir, bad, nil)
			if err == nil {
				t.Errorf("%s: accepted", what)
				continue
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "maxRetries is not a whole number (got \"x\")") || !strings.HasSuffix(err.Error(), "\n1 problem") {
				t.Errorf("%s, %q: %v, want %s", what, end, err, c.want)
			}
			f, err := load(t, dir, strings.Replace(bad, "maxRetries=x", "maxRetries=1", 1), nil)
			if err != nil {
				t.Errorf("%s, %q: %v", what, end, err)
				continue
			}
			if got := f.Environments[0].Exports[0].Custom; got.MaxSessions != 7 || got.MaxRetries != 1 {
				t.Errorf("%s, %q: %d sessions, %d retries", what, end, got.MaxSessions, got.MaxRetries)
			}
		}
	}
}
