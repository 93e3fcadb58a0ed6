package e2e

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"sessionexport/sinks/sinktest"
)

// secrets are all that a configuration can hold, and a token.
var secrets = map[string]string{
	"password":      "pass-w0rd/+with spaces",
	"client secret": "cl1ent-s3cret/+&=x",
	"token":         "t0ken-of-the-token-server",
	"header":        "header-v4lue-in-a-file",
	"line":          "header-v4lue-in-a-line",
	"query":         "query-v4lue-of-the-url",
	"token query":   "query-v4lue-of-the-token-url",
	"signing key":   base64.StdEncoding.EncodeToString([]byte("signing-key-of-32-bytes-exactly!")),
	"kafka":         "k4fka-password",
}

// disclosed names the secrets that a text shows in any of their forms.
func disclosed(text string) []string {
	var found []string
	for name, value := range secrets {
		forms := []string{value, url.QueryEscape(value), url.PathEscape(value), base64.StdEncoding.EncodeToString([]byte(value)),
			strings.Trim(fmt.Sprintf("%q", value), `"`)}
		if name == "password" || name == "client secret" {
			forms = append(forms, base64.StdEncoding.EncodeToString([]byte("exporter:"+value)),
				base64.StdEncoding.EncodeToString([]byte("exporter:"+url.QueryEscape(value))))
		}
		for _, form := range forms {
			if strings.Contains(text, form) {
				found = append(found, name+" as "+form)
			}
		}
	}
	return found
}

// seen are the secrets that a destination gets to see, and may repeat.
var seen = map[string][]string{
	"hook":   {"password", "header", "line", "query", "signing key"},
	"token":  {"token", "header", "line", "query"},
	"search": {"password", "header", "line", "query"},
	"tokens": {"client secret", "token query"},
}

// blab is an answer that repeats every secret that a destination has seen.
func blab(who string, status int, fault sinktest.Fault) sinktest.Step {
	var b strings.Builder
	b.WriteString(`{"error":"invalid_client","error_description":"`)
	for _, name := range seen[who] {
		value := secrets[name]
		fmt.Fprintf(&b, "%s %s ", value, url.QueryEscape(value))
		if name == "password" || name == "client secret" {
			b.WriteString(base64.StdEncoding.EncodeToString([]byte("exporter:"+value)) + " ")
		}
	}
	b.WriteString(`"}`)
	told := secrets[seen[who][0]]
	return sinktest.Step{
		Status: status, Fault: fault, Body: b.String(),
		Header: http.Header{
			"Location": {"/elsewhere?key=" + url.QueryEscape(told)}, "Content-Type": {"application/json"}, "Www-Authenticate": {"Bearer " + told},
		},
	}
}

// TestSecretsStaySecret makes everything fail in every way, by endpoints that
// repeat every secret, and looks for secrets in all that the service shows.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.file("secrets/password", secrets["password"])
	s.file("secrets/client", secrets["client secret"])
	s.file("secrets/header", secrets["header"])
	s.file("secrets/signing", "whsec_"+secrets["signing key"])
	faults := []sinktest.Fault{sinktest.ResetUnread, sinktest.CloseRead, sinktest.Garbage, sinktest.HalfAnswer, sinktest.EarlyClose, sinktest.HangUnread}
	statuses := []int{200, 302, 308, 400, 401, 403, 404, 407, 408, 413, 415, 422, 429, 500, 502, 503}
	receivers := map[string]*sinktest.Receiver{"hook": s.receiver(), "token": s.receiver(), "search": s.receiver()}
	for id, r := range receivers {
		for _, status := range statuses {
			r.Script(blab(id, status, sinktest.None))
		}
		for _, fault := range faults {
			r.Script(blab(id, 400, fault))
		}
		if id == "search" {
			r.Script(sinktest.Step{Body: `{"errors":true,"items":[{"index":{"status":400,"error":{"type":"t","reason":"` + secrets["password"] + " " + secrets["query"] + `"}}}]}`})
		}
	}
	steps := len(statuses) + len(faults)
	tokens := s.receiver()
	good := sinktest.Step{Header: http.Header{"Content-Type": {"application/json"}},
		Body: `{"access_token":"` + secrets["token"] + `","token_type":"Bearer","expires_in":3600}`}
	for _, status := range []int{302, 400, 401, 403, 429, 500, 503} {
		tokens.Script(blab("tokens", status, sinktest.None))
	}
	tokens.Script(blab("tokens", 200, sinktest.None), sinktest.Break(sinktest.Garbage),
		sinktest.Step{Header: good.Header, Body: `{"access_token":"` + secrets["token"] + `"`})
	tokens.Always(good)
	query := "?key=" + secrets["query"]
	basic := "{active: true, authType: basic, basicAuth: {username: exporter, passwordFile: password}}"
	custom := map[string]string{
		"maxSessions": "1", "maxInFlight": "1", "maxRetries": "0", "onFailure": "dead-letter", "requestTimeout": "1s",
		"header.X-Key": "@header", "header.X-Line": secrets["line"],
	}
	v := s.serve(s.config("",
		sink{id: "hook", url: receivers["hook"].URL("/" + query).String(), auth: basic, custom: with(custom, "signingSecretFile", "signing")},
		sink{id: "token", url: receivers["token"].URL("/" + query).String(), custom: custom,
			auth: "{active: true, authType: oauth2, oAuth2: {grantType: clientCredentials, accessTokenUrl: \"" + tokens.URL("/token?key="+secrets["token query"]).String() +
				"\", clientId: exporter, clientSecretFile: client}}"},
		sink{id: "search", url: receivers["search"].URL("/_bulk" + query).String(), index: "sessions", auth: basic, custom: custom},
	))
	var shown strings.Builder
	show := func() {
		for _, path := range []string{"/metrics", "/status", "/readyz"} {
			_, body := v.get(path)
			shown.WriteString(body)
		}
	}
	enough := steps + 15
	s.produce(small(0, enough))
	for id := range receivers {
		until(t, id+" has done with everything", func() bool {
			show()
			m := v.scrape()
			return int(m.sum("sessions_read_total", "sink", id)) == enough && m.sum("sessions_waiting", "sink", id) == 0
		})
	}
	for id, r := range receivers { // nobody answers at all any more
		if n := len(r.Requests()); n < steps {
			t.Errorf("%s: only %d requests of %d faults", id, n, steps)
		}
		r.Close()
	}
	tokens.Close()
	s.produce(small(enough, 3))
	until(t, "the last sessions are given up", func() bool {
		m := v.scrape()
		return int(m.sum("sessions_read_total")) == 3*(enough+3) && m.sum("sessions_waiting") == 0
	})
	show()
	v.stop()

	letters := 0
	for _, m := range s.messages(letterTopic) {
		letters++
		for _, h := range m.Headers {
			if found := disclosed(string(h.Value)); found != nil {
				t.Errorf("a dead letter's header %s shows %v: %s", h.Key, found, h.Value)
			}
		}
	}
	if letters < 3*steps/2 {
		t.Errorf("only %d dead letters: a useless test", letters)
	}
	for what, text := range map[string]string{"the log": v.journal.String(), "the operating surface": shown.String()} {
		for name := range strings.Lines(text) {
			if found := disclosed(name); found != nil {
				t.Errorf("%s shows %v:\n%s", what, found, name)
			}
		}
	}
}

// TestKafkaPasswordStaysSecret lets Kafka refuse the password.
func TestKafkaPasswordStaysSecret(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser(mechanism, "exporter", "another password"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cluster.Close)
			s := newOffline(t)
			s.file("secrets/kafka", secrets["kafka"])
			v := s.serve(s.config(fmt.Sprintf("kafka: {brokers: [%q], sasl: {mechanism: %s, username: exporter, passwordFile: kafka}}\n",
				cluster.ListenAddrs()[0], mechanism), sink{id: "lines", url: "https://127.0.0.1:1/"}))
			until(t, "the refusal is named", func() bool {
				_, body := v.get("/readyz")
				return strings.Contains(body, "refused") && strings.Contains(strings.ToLower(body), "password")
			})
			var shown string
			for _, path := range []string{"/metrics", "/status", "/readyz"} {
				_, body := v.get(path)
				shown += body
			}
			v.stop()
			if found := disclosed(shown + v.journal.String()); found != nil {
				t.Errorf("shown is %v", found)
			}
		})
	}
}
