//go:build services

package identity_test

import (
	"strings"
	"testing"

	"sessionexport/services"
)

// TestClientCredentials sends each kind of credentials that the realm knows, with every character that an encoding could
// trip over. One token serves all batches.
func TestClientCredentials(t *testing.T) {
	s := share(t)
	r := newResource(t, s)
	paths := map[string]string{}
	var exports []services.Export
	for id, o := range map[string]oauth2{
		"plain-body":     {client: "plain", secret: "plain"},
		"plain-header":   {client: "plain", secret: "plain", style: "header"},
		"special-body":   {client: "special", secret: "special"},
		"special-header": {client: "special", secret: "special", style: "header"},
		"client-body":    {client: oddClient, secret: "special"},
		"client-header":  {client: oddClient, secret: "special", style: "header"},
		"scope-body":     {client: "plain", secret: "plain", scope: scope},
		"scope-header":   {client: "special", secret: "special", scope: scope, style: "header"},
	} {
		paths[id] = "/" + id
		if o.scope != "" {
			paths[id] = "/scoped/" + id
		}
		exports = append(exports, services.Export{
			ID: id, URL: r.URL + paths[id], Authentication: s.authentication(o), Custom: []string{"maxSessions=10"},
		})
	}
	stage := services.NewStage(t, services.StageOptions{
		Kafka: services.SharedKafka(t), Authority: s.authority, Exports: exports, Secrets: secrets(),
	})
	for id := range paths {
		stage.Produce(t, id, 0, 100)
	}
	stage.Program.Start(t)
	for id, path := range paths {
		status := stage.UntilDelivered(t, id, 100)
		if status.Token == nil || status.Token.Fetches != 1 || status.Token.Failures != 0 {
			t.Errorf("%s: tokens %+v, want one fetch", id, status.Token)
		}
		r.complete(t, path, 100)
		if tokens, refused := r.seen(path); tokens != 1 || len(refused) != 0 {
			t.Errorf("%s: %d tokens, refused %v", id, tokens, refused)
		}
	}
	stage.KeepsSecrets(t)
}

// TestRefused gives credentials and scopes that the server does not accept: nothing is sent, the sink holds and tells so
// at once, and says what the server said.
func TestRefused(t *testing.T) {
	s := share(t)
	r := newResource(t, s)
	cases := map[string]struct {
		oauth2
		says []string
	}{
		"secret-body":   {oauth2{client: "special", secret: "wrong"}, []string{"status 401", "unauthorized_client", "Invalid client or Invalid client credentials"}},
		"secret-header": {oauth2{client: "special", secret: "wrong", style: "header"}, []string{"status 401", "unauthorized_client"}},
		"client-body":   {oauth2{client: "nobody", secret: "plain"}, []string{"status 401", "invalid_client"}},
		"client-header": {oauth2{client: "nobody", secret: "plain", style: "header"}, []string{"status 401", "invalid_client"}},
		"account":       {oauth2{client: "no-account", secret: "plain"}, []string{"status 401", "unauthorized_client"}},
		"scope":         {oauth2{client: "plain", secret: "plain", scope: "nope"}, []string{"status 400", "invalid_scope", "Invalid scopes: nope"}},
		"realm":         {oauth2{client: "plain", secret: "plain", path: "/realms/nowhere/protocol/openid-connect/token"}, []string{"status 404", "Realm does not exist"}},
		"no-endpoint":   {oauth2{client: "plain", secret: "plain", path: "/realms/export"}, []string{"status 405"}},
	}
	var exports []services.Export
	for id, c := range cases {
		exports = append(exports, services.Export{ID: id, URL: r.URL + "/" + id, Authentication: s.authentication(c.oauth2)})
	}
	stage := services.NewStage(t, services.StageOptions{
		Kafka: services.SharedKafka(t), Authority: s.authority, Exports: exports, Secrets: secrets(),
	})
	for id := range cases {
		stage.Produce(t, id, 0, 20)
	}
	stage.Program.Start(t)
	for id, c := range cases {
		status := stage.UntilHeld(t, id, "token_refused")
		for _, words := range c.says {
			if !strings.Contains(status.Hold.Error, words) {
				t.Errorf("%s: %q does not say %q", id, status.Hold.Error, words)
			}
		}
		// Told at once: no retry came before, and the next probe keeps the account from being locked.
		if n := stage.Metric(t, "session_export_retries_total", `sink="`+id+`"`); n != 0 {
			t.Errorf("%s: %v retries before it held", id, n)
		}
		if status.Token.Fetches != 0 || status.Token.Failures > 4 { // one for each batch that was on its way
			t.Errorf("%s: tokens %+v", id, status.Token)
		}
		services.Eventually(t, id+" is told", func() bool {
			return stage.Metric(t, "session_export_alerts_open", `sink="`+id+`"`, `cause="token_server"`) == 1
		})
		if status.Sessions.Delivered != 0 || status.Sessions.DeadLetters != 0 || r.endpoint("/"+id).hook.Count() != 0 {
			t.Errorf("%s: %+v", id, status.Sessions)
		}
		if tokens, refused := r.seen("/" + id); tokens != 0 || len(refused) != 0 {
			t.Errorf("%s: the endpoint was asked: %d, %v", id, tokens, refused)
		}
	}
	stage.KeepsSecrets(t)
}
