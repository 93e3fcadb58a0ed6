//go:build services

package identity_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"sessionexport/services"
)

// TestShortTokens delivers under load with tokens that live for 5 and for 2 seconds: one request a lifetime, not one a
// batch, and what lives for 5 seconds is never shown when it has expired.
func TestShortTokens(t *testing.T) {
	const sessions, steps = 200, 40 // so many every half second
	s := share(t)
	r := newResource(t, s)
	lives := map[string]time.Duration{"five-seconds": 5 * time.Second, "two-seconds": 2 * time.Second}
	var exports []services.Export
	for id := range lives {
		exports = append(exports, services.Export{
			ID: id, URL: r.URL + "/" + id, Authentication: s.authentication(oauth2{client: id, secret: "plain"}),
			Custom: []string{"maxSessions=10"},
		})
	}
	stage := services.NewStage(t, services.StageOptions{
		Kafka: services.SharedKafka(t), Authority: s.authority, Exports: exports, Secrets: secrets(),
	})
	began := time.Now()
	stage.Program.Start(t)
	pace := time.NewTicker(500 * time.Millisecond)
	defer pace.Stop()
	for step := range steps {
		for id := range lives {
			stage.Produce(t, id, step*sessions, (step+1)*sessions)
		}
		<-pace.C
	}
	for id, life := range lives {
		status := stage.UntilDelivered(t, id, sessions*steps)
		took := time.Since(began)
		// The server rounds down what is left of a token, and the last tenth of that is not used.
		most := int(took/((life-time.Second)*9/10)) + 2
		least := int(took / (life + 2*time.Second))
		tokens, refused := r.seen("/" + id)
		t.Logf("%s: %d batches and %d tokens in %s, refused %v", id, int(stage.Metric(t, "session_export_batches_total", `sink="`+id+`"`)),
			status.Token.Fetches, took.Round(time.Millisecond), refused)
		if status.Token.Fetches > most+refused[errExpired.Error()] || tokens < least || status.Token.Failures != 0 {
			t.Errorf("%s: tokens %+v, %d were used; want %d to %d in %s", id, status.Token, tokens, least, most, took)
		}
		// A busy machine may hold a request up for longer than the last tenth of two seconds.
		if n := refused[errExpired.Error()]; len(refused) != 0 && (life >= 5*time.Second || n == 0 || len(refused) > 1) {
			t.Errorf("%s: refused %v", id, refused)
		}
		r.complete(t, "/"+id, sessions*steps)
	}
	stage.KeepsSecrets(t)
}

// TestKeyRotation replaces the realm's key under load, so that the tokens that are in use become worthless: the sink goes
// on with one fresh token, without a retry, an alert or a duplicate.
func TestKeyRotation(t *testing.T) {
	const rotations = 3
	s := share(t)
	r := newResource(t, s)
	stage := services.NewStage(t, services.StageOptions{
		Kafka: services.SharedKafka(t), Authority: s.authority, Secrets: secrets(),
		Exports: []services.Export{{
			ID: "sink", URL: r.URL + "/sink", Authentication: s.authentication(oauth2{client: "plain", secret: "plain"}),
			Custom: []string{"maxSessions=10"},
		}},
	})
	stage.Program.Start(t)
	produced := 0
	more := func() {
		stage.Produce(t, "sink", produced, produced+500)
		produced += 500
	}
	more()
	stage.UntilDelivered(t, "sink", produced)
	for range rotations {
		more() // on its way while the key is replaced
		rotate(t, s.keycloak)
		r.forget()
		more()
		stage.UntilDelivered(t, "sink", produced)
	}
	status := stage.UntilDelivered(t, "sink", produced)
	tokens, refused := r.seen("/sink")
	t.Logf("%d rotations: tokens %+v, %d were used, refused %v", rotations, status.Token, tokens, refused)
	if status.Token.Fetches != 1+rotations || tokens != 1+rotations {
		t.Errorf("tokens %+v, %d were used; want one more for each rotation", status.Token, tokens)
	}
	if n := refused[errKey.Error()]; n < rotations || len(refused) != 1 {
		t.Errorf("refused %v, want the old tokens because of their key", refused)
	}
	if n := stage.Metric(t, "session_export_tokens_dropped_total"); n != rotations {
		t.Errorf("%v tokens dropped", n)
	}
	retries, failures := stage.Metric(t, "session_export_retries_total"), stage.Metric(t, "session_export_delivery_failures_total")
	if retries != 0 || failures != 0 {
		t.Errorf("%v retries, %v failures", retries, failures)
	}
	r.complete(t, "/sink", produced)
	stage.KeepsSecrets(t)
}

// rotate adds a key that signs from now on and removes the one that did.
func rotate(t *testing.T, k *services.Keycloak) {
	t.Helper()
	const query, provider = "/components?type=org.keycloak.keys.KeyProvider", "rsa-generated"
	var before []struct{ ID, ProviderID string }
	if err := json.Unmarshal([]byte(k.Admin(t, http.MethodGet, query, "")), &before); err != nil {
		t.Fatal(err)
	}
	k.Admin(t, http.MethodPost, "/components", `{"name":"rotated","providerId":"`+provider+`","providerType":"org.keycloak.keys.KeyProvider",
		"config":{"priority":["100"],"enabled":["true"],"active":["true"]}}`)
	for _, component := range before {
		if component.ProviderID == provider {
			k.Admin(t, http.MethodDelete, "/components/"+component.ID, "")
		}
	}
}

// TestSlowServer puts seconds between the program and the server: a fetch is part of its attempt and may take as long. One
// that takes longer is told as the token server's doing, and repeated.
func TestSlowServer(t *testing.T) {
	s := share(t)
	r := newResource(t, s)
	toxics := services.StartToxiproxy(t)
	link := toxics.Link(t, "tokens", "", s.keycloak.Address)
	slow := services.Toxic{Type: "latency", Stream: "downstream", Attributes: map[string]int{"latency": 1500}}
	link.Spoil(t, slow)
	far := s.authentication(oauth2{server: link.Address, client: "plain", secret: "plain"})
	stage := services.NewStage(t, services.StageOptions{
		Kafka: services.SharedKafka(t), Authority: s.authority, Secrets: secrets(),
		Exports: []services.Export{
			{ID: "patient", URL: r.URL + "/patient", Authentication: far},
			{ID: "hasty", URL: r.URL + "/hasty", Authentication: far,
				Custom: []string{"requestTimeout=1s", "maxRetries=1", "initialBackoff=100ms", "maxBackoff=100ms"}},
		},
	})
	stage.Produce(t, "patient", 0, 20)
	stage.Produce(t, "hasty", 0, 20)
	stage.Program.Start(t)
	status := stage.UntilDelivered(t, "patient", 20)
	if status.Token.Fetches != 1 || status.Token.Failures != 0 || stage.Metric(t, "session_export_retries_total", `sink="patient"`) != 0 {
		t.Errorf("patient: tokens %+v", status.Token)
	}
	status = stage.UntilHeld(t, "hasty", "token")
	if !strings.Contains(status.Hold.Error, "no answer in time") {
		t.Errorf("hasty: %q", status.Hold.Error)
	}
	services.Eventually(t, "the token server is blamed", func() bool {
		return stage.Metric(t, "session_export_alerts_open", `sink="hasty"`, `cause="token_server"`) == 1
	})
	link.Cure(t, slow)
	stage.UntilDelivered(t, "hasty", 20)
	r.complete(t, "/patient", 20)
	r.complete(t, "/hasty", 20)
	stage.KeepsSecrets(t)
}

// TestServerAway kills the server while one program delivers, starts another program meanwhile, and starts the server
// again, with other keys: both recover by themselves.
func TestServerAway(t *testing.T) {
	s := share(t)
	r := newResource(t, s)
	open := func(id string) *services.Stage {
		return services.NewStage(t, services.StageOptions{
			Kafka: services.SharedKafka(t), Authority: s.authority, Secrets: secrets(),
			Exports: []services.Export{{
				ID: id, URL: r.URL + "/" + id, Authentication: s.authentication(oauth2{client: "five-seconds", secret: "plain"}),
				Custom: []string{"maxSessions=10", "maxRetries=2", "initialBackoff=500ms", "maxBackoff=2s"},
			}},
		})
	}
	under, at := open("under-load"), open("at-start")
	under.Program.Start(t)
	under.Produce(t, "under-load", 0, 500)
	under.UntilDelivered(t, "under-load", 500)
	if err := s.keycloak.Kill(); err != nil {
		t.Fatal(err)
	}
	under.Produce(t, "under-load", 500, 1000) // the token may live for a while yet
	at.Produce(t, "at-start", 0, 500)
	at.Program.Start(t)
	status := at.UntilHeld(t, "at-start", "token")
	if !strings.Contains(status.Hold.Error, "connection refused") || status.Sessions.Delivered != 0 {
		t.Errorf("at-start: %+v, %+v", status.Hold, status.Sessions)
	}
	services.Eventually(t, "the token of under-load ends", func() bool {
		under.Produce(t, "under-load", 1000, 1010)
		status, ok := under.Sink(t, "under-load")
		return ok && status.Hold != nil && status.Hold.Reason == "token"
	})
	if err := s.keycloak.Start(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	r.forget()
	for _, stage := range []*services.Stage{under, at} {
		id := "under-load"
		if stage == at {
			id = "at-start"
		}
		stage.Until(t, id, "has recovered", func(status services.SinkStatus) bool {
			return status.Hold == nil && status.Sessions.Waiting == 0 && status.Sessions.Delivered > 0
		})
		stage.Finished(t, id)
		t.Logf("%s: all is delivered %s after the server was back", id, time.Since(back).Round(time.Millisecond))
		services.Eventually(t, id+" is told to be well", func() bool {
			return stage.Metric(t, "session_export_alerts_open", `cause="token_server"`) == 0
		})
		stage.KeepsSecrets(t)
	}
	r.complete(t, "/at-start", 500)
	sessions := r.endpoint("/under-load").hook.Sessions()
	if len(sessions) != 1010 {
		t.Errorf("under-load: %d different sessions, want 1010", len(sessions))
	}
	for i := range 1000 {
		if n := sessions[fmt.Sprintf("s-%d", i)]; n != 1 {
			t.Errorf("under-load: session %d came %d times", i, n)
		}
	}
}
