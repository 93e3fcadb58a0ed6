package deadletter

import (
	"testing"
	"time"
)

func TestFilter(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := Letter{
		Environment: "prod", Sink: "shop", Kind: "rejected", Reason: "document_parsing_exception", Status: 400, Last: at,
		Source: Source{Topic: "sessions", Partition: 3, Offset: 77, Timestamp: at.Add(-time.Hour)},
		Body:   []byte(`{"tenantId":"acme","userSessionId":"s-1","startTime":1700000000000}`),
	}
	never := l
	never.Last, never.Status = time.Time{}, 0
	bare := l
	bare.Body, bare.BodyOmitted, bare.Session = nil, true, "acme-s-1-1700000000000"
	broken := l
	broken.Body = []byte(`{"userSessionId":"s-1"`)
	one := func(s ...string) []string { return s }
	for name, c := range map[string]struct {
		filter Filter
		letter Letter
		want   bool
	}{
		"nothing asked":          {Filter{}, l, true},
		"environment":            {Filter{Environments: one("prod")}, l, true},
		"another environment":    {Filter{Environments: one("test")}, l, false},
		"sink":                   {Filter{Sinks: one("other", "shop")}, l, true},
		"another sink":           {Filter{Sinks: one("other")}, l, false},
		"kind":                   {Filter{Kinds: one("poison", "rejected")}, l, true},
		"another kind":           {Filter{Kinds: one("poison")}, l, false},
		"reason":                 {Filter{Reasons: one("document_parsing_exception")}, l, true},
		"another reason":         {Filter{Reasons: one("timeout")}, l, false},
		"status":                 {Filter{Statuses: []int{413, 400}}, l, true},
		"another status":         {Filter{Statuses: []int{413}}, l, false},
		"no status":              {Filter{Statuses: []int{0}}, never, true},
		"no status, but it has":  {Filter{Statuses: []int{0}}, l, false},
		"since, at the moment":   {Filter{Since: at}, l, true},
		"since, later":           {Filter{Since: at.Add(time.Microsecond)}, l, false},
		"until, at the moment":   {Filter{Until: at}, l, false},
		"until, later":           {Filter{Until: at.Add(time.Microsecond)}, l, true},
		"never sent, its source": {Filter{Until: at.Add(-time.Minute)}, never, true},
		"never sent, too old":    {Filter{Since: at.Add(-time.Minute)}, never, false},
		"session":                {Filter{Sessions: one("s-1")}, l, true},
		"document":               {Filter{Sessions: one("acme-s-1-1700000000000")}, l, true},
		"another session":        {Filter{Sessions: one("s-2")}, l, false},
		"empty session":          {Filter{Sessions: one("")}, broken, false},
		"session, without body":  {Filter{Sessions: one("acme-s-1-1700000000000")}, bare, true},
		"session, broken body":   {Filter{Sessions: one("s-1")}, broken, false},
		"key":                    {Filter{Keys: one("prod/shop/sessions/3/77")}, l, true},
		"another key":            {Filter{Keys: one("prod/shop/sessions/3/7")}, l, false},
		"all of it":              {Filter{one("prod"), one("shop"), one("rejected"), nil, []int{400}, at, at.Add(1), one("s-1"), nil}, l, true},
		"all but one":            {Filter{one("prod"), one("shop"), one("rejected"), nil, []int{400}, at, at.Add(1), one("s-2"), nil}, l, false},
	} {
		t.Run(name, func(t *testing.T) {
			var n Namer
			if got := c.filter.Match(&c.letter, &n); got != c.want {
				t.Errorf("chosen: %v", got)
			}
		})
	}
}
