package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"testing"

	"sessionexport/sinks/sinktest"
)

// maxSessions of a batch in these schedules: many batches of few sessions.
const maxSessions = 20

// TestScheduleOfFaults lets three endpoints and a token server fail at random
// while sessions flow: each session arrives or becomes a dead letter, none
// twice without an answer that was lost, and the counters add up.
func TestScheduleOfFaults(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"hold", "dead-letter"} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("%s, seed %d", policy, seed), func(t *testing.T) {
				t.Parallel()
				scheduleOfFaults(t, policy, rand.New(rand.NewPCG(seed, 1)))
			})
		}
	}
}

func scheduleOfFaults(t *testing.T, policy string, rnd *rand.Rand) {
	s := newStage(t, 3)
	custom := map[string]string{"maxSessions": strconv.Itoa(maxSessions), "onFailure": policy, "requestTimeout": "2s"}
	if policy == "hold" {
		custom["maxRetries"] = "10" // the waits of a hold are longer than this test
	}
	receivers := map[string]*sinktest.Receiver{"array": s.receiver(), "lines": s.receiver(), "search": s.receiver()}
	for id, r := range receivers {
		r.Script(faults(rnd, id, policy)...)
	}
	tokens := s.receiver()
	answer := sinktest.Step{
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   `{"access_token":"e2e-token","token_type":"Bearer","expires_in":2}`,
	}
	tokens.Always(answer)
	tokens.Script(sinktest.Status(503), sinktest.Break(sinktest.ResetRead), answer, sinktest.Status(500), answer, sinktest.Break(sinktest.HangRead))
	s.file("secrets/client", "battery staple")
	produced := small(0, 800)
	v := s.serve(s.config("",
		sink{id: "array", url: receivers["array"].URL("/array").String(), custom: with(custom, "bodyFormat", "array", "compression", "gzip")},
		sink{id: "lines", url: receivers["lines"].URL("/lines").String(), content: "application/x-ndjson", custom: custom,
			auth: "{active: true, authType: oauth2, oAuth2: {grantType: clientCredentials, accessTokenUrl: \"" + tokens.URL("/token").String() +
				"\", clientId: exporter, clientSecretFile: client}}"},
		sink{id: "search", url: receivers["search"].URL("/_bulk").String(), index: "sessions", custom: custom},
	))
	s.produce(produced[:300])
	until(t, "half a schedule is over", func() bool { return len(receivers["array"].Requests()) > 15 })
	s.produce(produced[300:])
	for id := range receivers {
		until(t, id+" has done with everything", func() bool {
			m := v.scrape()
			return int(m.sum("sessions_read_total", "sink", id)) == len(produced) && m.sum("sessions_waiting", "sink", id) == 0
		})
	}
	m := v.scrape()
	for id := range receivers {
		m.conserve(id)
	}
	v.stop()

	letters := map[string]map[string]bool{}
	for id, l := range s.letters() {
		if letters[id.Sink] == nil {
			letters[id.Sink] = map[string]bool{}
		}
		letters[id.Sink][string(l.Body)] = true
	}
	for id, r := range receivers {
		if lag := s.lag(id); lag != 0 {
			t.Errorf("%s: %d records are not committed", id, lag)
		}
		account(t, id, produced, r, letters[id])
		if counted := m.sum("sessions_dead_lettered_total", "sink", id); int(counted) != len(letters[id]) {
			t.Errorf("%s: %d dead letters, %v by the metrics", id, len(letters[id]), counted)
		}
		duplicates := 0
		for _, n := range r.Accepted() {
			duplicates += n - 1
		}
		lost := m.sum("attempts_total", "sink", id, "status", "0") + m.sum("attempts_total", "sink", id, "reason", "cut_short")
		if duplicates > int(lost)*maxSessions {
			t.Errorf("%s: %d duplicates, and only %v answers were lost", id, duplicates, lost)
		}
		t.Logf("%s: %d requests, %d dead letters, %d duplicates, %v answers lost, %v alerts", id, len(r.Requests()), len(letters[id]), duplicates,
			lost, m.sum("delivery_failures_total", "sink", id))
	}
}

// account checks that every session arrived, as it was produced, or is a dead
// letter.
func account(t *testing.T, id string, produced []session, r *sinktest.Receiver, letters map[string]bool) {
	t.Helper()
	accepted := r.Accepted()
	missing := 0
	documents := map[string]string{}
	for _, one := range produced {
		documents[one.key] = one.document
		if accepted[one.key] == 0 && !letters[one.document] {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%s: %d of %d sessions are missing", id, missing, len(produced))
	}
	for _, request := range r.Requests() {
		for _, got := range request.Sessions {
			if documents[got.Key] != string(got.Document) {
				t.Fatalf("%s: session %q arrived as\n%s\nproduced was\n%s", id, got.Key, got.Document, documents[got.Key])
			}
		}
	}
}

// faults is a random script for one sink's endpoint.
func faults(rnd *rand.Rand, id, policy string) []sinktest.Step {
	later := http.Header{"Retry-After": {"1"}}
	kinds := []sinktest.Step{
		sinktest.Status(500), sinktest.Status(503), sinktest.Status(504), sinktest.Status(408),
		sinktest.Break(sinktest.ResetUnread), sinktest.Break(sinktest.ResetRead), sinktest.Break(sinktest.CloseRead),
		sinktest.Break(sinktest.HalfStatus), sinktest.Break(sinktest.Garbage),
		{Status: 503, Fault: sinktest.EarlyClose}, {Status: 500, Fault: sinktest.EarlyKeep},
	}
	if id == "search" {
		items := sinktest.Step{Item: func(s sinktest.Session) (int, string) {
			switch len(s.Document) % 7 {
			case 0:
				return 503, "unavailable_shards_exception"
			case 1:
				return 429, "es_rejected_execution_exception"
			case 2:
				return 400, "document_parsing_exception"
			default:
				return 201, ""
			}
		}}
		kinds = append(kinds, items, items, items, sinktest.Break(sinktest.HalfAnswer), sinktest.Break(sinktest.HalfChunk), sinktest.Break(sinktest.ResetAnswer))
	} else {
		kinds = append(kinds, sinktest.Status(400), sinktest.Status(422))
	}
	if policy == "dead-letter" { // under hold these wait for minutes
		kinds = append(kinds, sinktest.Status(401), sinktest.Status(404), sinktest.Status(302))
	}
	steps := []sinktest.Step{ // once each: they cost time
		{Status: 429, Header: later}, {Status: 503, Header: later}, sinktest.Break(sinktest.HangRead), sinktest.Break(sinktest.HangUnread),
	}
	if id == "lines" {
		steps = append(steps, sinktest.Status(401)) // once: the fresh token is good
	}
	for range 20 {
		steps = append(steps, kinds[rnd.IntN(len(kinds))])
	}
	for range 20 {
		steps = append(steps, sinktest.Step{})
	}
	rnd.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	// First, when bodies are whole: half of what was too large is the limit from then on.
	return append([]sinktest.Step{sinktest.Status(413)}, steps...)
}

// with returns a copy of a custom configuration with more keys and values.
func with(custom map[string]string, more ...string) map[string]string {
	out := map[string]string{}
	for k, v := range custom {
		out[k] = v
	}
	for i := 0; i+1 < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}
