package alerts

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs/alerts.md has every cause with its severity, every service and every
// metric.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|.*\\| ([a-z]+) \\|$").FindAllStringSubmatch(string(text), -1) {
		rows[m[1]] = m[2]
	}
	for _, c := range causes {
		if rows[string(c)] != c.Severity() {
			t.Errorf("%s is documented as %q, it is %q", c, rows[string(c)], c.Severity())
		}
	}
	if len(rows) != len(causes) {
		t.Errorf("%d causes are documented, there are %d", len(rows), len(causes))
	}
	_, list, _ := strings.Cut(string(text), "services: ")
	list, _, _ = strings.Cut(list, ".")
	var listed []string
	for _, m := range regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(list, -1) {
		listed = append(listed, m[1])
	}
	slices.Sort(listed)
	if want := slices.Sorted(slices.Values(services)); !slices.Equal(listed, want) {
		t.Errorf("documented services %v, there are %v", listed, want)
	}
	m := NewMetrics()
	m.known("slack-1")
	m.setOpen([]Notification{about("shop", Opened)})
	for _, f := range gathered(t, m) {
		row := fmt.Sprintf("| `%s` | %s |", f.GetName(), strings.ToLower(f.GetType().String()))
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/alerts.md lacks %s", row)
		}
	}
}
