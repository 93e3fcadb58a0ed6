package session

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Strings, keys and numbers of every length around blocks, windows and words,
// at every place among them, whole and damaged at their ends.
func TestLengths(t *testing.T) {
	var sc Scanner
	for _, shift := range []int{0, 1, 6} {
		indent := strings.Repeat(" ", shift)
		for n := range 140 {
			x, digits := strings.Repeat("x", n), strings.Repeat("7", n)
			for _, value := range []string{
				`{"` + x + `":"a","b":1}`,
				`{"a":"` + x + `","b":1}`,
				`{"a":"` + x + `"}`,
				`{"a":"` + x + `\u00e9","tenantId":"t"}`,
				`{"a":"` + x + `\","tenantId":"t"}`,
				`{"a":"` + x + "\x01" + `","tenantId":"t"}`,
				`{"a":"` + x + `é","tenantId":"t"}`,
				`{"a":"` + x + "\xc3" + `","tenantId":"t"}`,
				`{"a":"` + x + `" ,"tenantId":"t"}`,
				`{"a":"` + x + `"x,"tenantId":"t"}`,
				`{"tenantId":"` + x + `","userSessionId":"` + digits + `","z":[]}`,
				`{"a":` + digits + `,"tenantId":"t"}`,
				`{"a":` + digits + `}`,
				`{"a":0` + digits + `,"tenantId":"t"}`,
				`{"a":5` + digits + `.5,"tenantId":"t"}`,
				`{"a":5` + digits + `x,"tenantId":"t"}`,
				`{"startTime":5` + digits + `}`,
				`{"startTime":5` + digits + `e1,"b":2}`,
			} {
				check(t, &sc, []byte(indent+value))
			}
		}
	}
}

// What a byte says of the rest is believed only when the rest agrees.
func TestForms(t *testing.T) {
	var sc Scanner
	for c := range 256 {
		for _, rest := range []string{``, `"`, `ull`, `rue`, `alse`, `]`, `}`, `1`, `a"`, `ul`, `ulll`, ` `, "\n"} {
			check(t, &sc, []byte(`{"a":`+string([]byte{byte(c)})+rest+`,"tenantId":"t"}`))
			check(t, &sc, []byte(`{"a":1`+string([]byte{byte(c)})+rest+`,"tenantId":"t"}`))
			check(t, &sc, []byte(`{"a":"b"`+string([]byte{byte(c)})+rest+`}`))
		}
	}
}

// asked notes what it was asked for.
type asked struct {
	want string
	list []string
}

func (a *asked) Match(app []byte) bool {
	a.list = append(a.list, string(app))
	return string(app) == a.want
}

func TestScopeAsksOnce(t *testing.T) {
	action := func(name, id string) string {
		return fmt.Sprintf(`{"application":%q,"internalApplicationId":%q}`, name, id)
	}
	value := []byte(`{"userActions":[` + action("a", "1") + `,` + action("a", "1") + `,` + action("b", "1") + `,` + action("c", "2") + `]}`)
	for _, tt := range []struct {
		want string
		list []string
	}{
		{"a", []string{"a"}},
		{"1", []string{"a", "1"}},
		{"c", []string{"a", "1", "b", "c"}},
		{"z", []string{"a", "1", "b", "c", "2"}},
	} {
		var (
			sc   Scanner
			out  Session
			apps = &asked{want: tt.want}
		)
		if err := sc.Scan(value, apps, &out); err != nil || out.InScope != (tt.want != "z") {
			t.Fatalf("%s: %v, in scope %t", tt.want, err, out.InScope)
		}
		if !slices.Equal(apps.list, tt.list) {
			t.Errorf("%s: asked for %q, want %q", tt.want, apps.list, tt.list)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	sessions := append(corpus(t), []byte(`{"tenantId":"\u0061\"","userSessionId":"\ud83d\ude00","userActions":[{"application":"\u0062"}]}`))
	for _, apps := range []Applications{nil, zone("\x00"), zone("")} {
		var (
			sc  Scanner
			out Session
			dst []byte
		)
		n := testing.AllocsPerRun(10, func() {
			for _, s := range sessions {
				if err := sc.Scan(s, apps, &out); err != nil {
					t.Fatal(err)
				}
				dst = AppendCompact(dst[:0], s)
				dst = AppendJSONString(dst[:0], out.TenantID)
			}
		})
		if n != 0 {
			t.Errorf("%v allocations for %d sessions", n, len(sessions))
		}
	}
}

// What a scan found stays as it is until the next one, and says nothing of the
// one before.
func TestScannerIsClean(t *testing.T) {
	var (
		sc  Scanner
		out Session
	)
	full := []byte(`{"tenantId":"\u0074","userSessionId":"u","startTime":5,"@timestamp":1,"userActions":[{"application":"shop"}]}` + "\n")
	if err := sc.Scan(full, zone("shop"), &out); err != nil {
		t.Fatal(err)
	}
	want := Session{
		Value: full, TenantID: []byte("t"), UserSessionID: []byte("u"), StartTime: 5,
		Has: HasTenantID | HasUserSessionID | HasStartTime, InScope: true, LineBreaks: true, HasTimestamp: true, PlainIDs: true,
	}
	if !same(out, want) {
		t.Fatalf("got %+v, want %+v", out, want)
	}
	for _, broken := range []string{`{"userActions":[{"application":"shop"`, `{"a":"` + "\xff" + `"}`} {
		if err := sc.Scan([]byte(broken), zone("shop"), &out); err == nil || !same(out, Session{Value: []byte(broken)}) {
			t.Fatalf("%v, %+v", err, out)
		}
	}
	if err := sc.Scan([]byte(`{}`), zone("shop"), &out); err != nil || !same(out, Session{Value: []byte(`{}`)}) {
		t.Fatalf("%v, %+v", err, out)
	}
	if bytes.Contains([]byte((&Malformed{NotJSON, 3}).Error()), []byte("{")) {
		t.Fatal("an error quotes the value")
	}
}
