package trial

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sessionexport/consumer"
	"sessionexport/settings"
	"sessionexport/sinks/sinktest"
)

// Secrets that no report may show.
const (
	password     = "hush-password-1"
	clientSecret = "hush-client-2"
	headerKey    = "hush-header-3"
	queryKey     = "hush-query-45"
)

// recent is a Log with n sessions of the last minutes.
func recent(n int) *memory {
	all := make([]consumer.Record, n)
	for i := range all {
		at := time.Now().Add(-time.Duration(n-i) * time.Second)
		all[i] = record(i, at.Add(-time.Second), at, "Shop")
	}
	return &memory{partitions: [][]consumer.Record{all}}
}

// setup is an export as a test wants it.
type setup struct {
	url            string
	direct         string // sendDirect beyond active, of _bulk
	authentication string // default inactive
	custom         []string
	put            bool
	contentType    string
	zone           string
	withoutCA      bool
}

// export builds the export of a setup, with trust in an authority.
func (s setup) export(t *testing.T, authority *sinktest.Authority) *settings.Export {
	t.Helper()
	folder := t.TempDir()
	if authority != nil && !s.withoutCA {
		if err := os.WriteFile(filepath.Join(folder, "ca.pem"), authority.PEM(), 0o600); err != nil {
			t.Fatal(err)
		}
		s.custom = append(s.custom, "caFile=ca.pem")
	}
	contentType := "application/json"
	direct := "{active: false}"
	if s.direct != "" {
		contentType, direct = "application/x-ndjson", "{active: true, "+s.direct+"}"
	}
	if s.contentType != "" {
		contentType = s.contentType
	}
	if s.authentication == "" {
		s.authentication = "{active: false}"
	}
	text := fmt.Sprintf(`
id: tried
endpointDefinition: {endpointUrl: %q, enableUserSessionExport: true, usePost: %t, contentType: %q}
authentication: %s
sendDirect: %s
exportBehavior: {disableNotification: false, managementZone: %q, customConfiguration: %q}
`, s.url, !s.put, contentType, s.authentication, direct, s.zone, strings.Join(s.custom, "\n"))
	place := settings.Place{Folder: folder, SecretsDir: folder, Zones: []settings.Zone{{ID: "7", Name: "Shop", Applications: []string{"Shop"}}}}
	e, err := settings.ParseUnsaved([]byte(text), "export.yaml", place, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &e
}

func (s setup) basic() setup {
	s.authentication = fmt.Sprintf("{active: true, authType: basic, basicAuth: {username: exporter, password: %s}}", password)
	return s
}

func (s setup) oauth(tokenURL string) setup {
	s.authentication = fmt.Sprintf("{active: true, authType: oauth2, oAuth2: {accessTokenUrl: %q, clientId: exporter, clientSecret: %s, scope: sessions}}", tokenURL, clientSecret)
	return s
}

// try tests an export with sessions of a log.
func try(t *testing.T, e *settings.Export, log Log, change func(*TestOptions)) *Report {
	t.Helper()
	o := TestOptions{
		Log: log, Environment: "default", Topic: "sessions", Export: e, Version: "0", Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := Test(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	noSecrets(t, r)
	return r
}

// both renderings of a report.
func renderings(t *testing.T, r *Report) (text, document string) {
	t.Helper()
	var forPeople, forPrograms strings.Builder
	if err := r.Write(&forPeople); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteJSON(&forPrograms); err != nil {
		t.Fatal(err)
	}
	return forPeople.String(), forPrograms.String()
}

func noSecrets(t *testing.T, r *Report) {
	t.Helper()
	text, document := renderings(t, r)
	for _, secret := range []string{password, clientSecret, headerKey, queryKey, "hush", "Bearer ey"} {
		if strings.Contains(text, secret) || strings.Contains(document, secret) {
			t.Errorf("the report shows %q:\n%s\n%s", secret, text, document)
		}
	}
}

// on is an address of a receiver.
func on(r *sinktest.Receiver, path string) string { return r.URL(path).String() }

// withHost replaces the host of an address.
func withHost(address, host string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err) // a mistake in the test
	}
	u.Host = host + ":" + u.Port()
	return u.String()
}

func ids(all []Advice) string {
	var b []string
	for _, a := range all {
		b = append(b, a.ID)
	}
	return strings.Join(b, ",")
}
