//go:build services

package kafka_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/services"
)

// lettersWait takes one of the two replicas of the dead letters away, of which two have to be in sync. The letter waits,
// the sink holds with a cause of its own, and nothing that stands behind the letter is committed, until the replica is
// back.
func lettersWait(t *testing.T, k *services.Kafka, admin *kadm.Client) {
	const partitions = 2
	topic := services.NewTopic(t, k, partitions, nil)
	hook := &services.Webhook{Partitions: partitions}
	e := install(t, exporterOptions{brokers: k.Brokers(), topic: topic, handler: hook})
	createOn(t, k, e.letters, []int32{1, 2}, []int32{2, 1}, []int32{1, 2})
	alter(t, admin, e.letters, "cleanup.policy", "compact")
	e.Start(t)
	written := produce(t, k, topic, partitions, 0, 100)
	services.Eventually(t, "all is committed", func() bool { return services.Finished(t, admin, topic, e.group) })

	must(t, k.Node(2).Kill())
	bad := services.Franz(t, k, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(t, bad.ProduceSync(services.Context(t), &kgo.Record{Partition: 0, Value: []byte("no session")}).FirstErr())
	for at, value := range produce(t, k, topic, partitions, 100, 100) {
		written[at] = value
	}
	begun := time.Now()
	services.Eventually(t, "the sink holds because dead letters cannot be stored", func() bool {
		s := e.status(t)
		return s.Hold != nil && s.Hold.Reason == "dead_letters"
	})
	held := time.Since(begun)
	// At first the write only takes too long: the cluster still waits for the dead node.
	services.Eventually(t, "the hold names the replicas", func() bool {
		s := e.status(t)
		return s.Hold != nil && strings.Contains(strings.ToLower(s.Hold.Error), "replicas")
	})
	t.Logf("held after %s, named %s after the kill", held, time.Since(begun))
	services.Eventually(t, "the alert is open", func() bool { return strings.Contains(e.Process().Output(), "cause=dead_letters_failing") })
	var commits kadm.OffsetResponses
	services.Eventually(t, "the group's coordinator answers, which the kill may have moved", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		fresh := services.Franz(t, k) // the other one may go on asking the dead node
		defer fresh.Close()
		var err error
		if commits, err = kadm.NewClient(fresh).FetchOffsets(ctx, e.group); err != nil {
			t.Logf("asking for the offsets: %v", err)
		}
		return err == nil
	})
	if commit, found := commits.Lookup(topic, 0); !found || commit.At != 50 {
		t.Errorf("committed %+v, want the place of the letter, 50", commit)
	}
	if n := e.metric(t, "session_export_dead_letters_waiting"); n != 1 {
		t.Errorf("%v dead letters wait, want 1", n)
	}

	must(t, k.Node(2).Start())
	begun = time.Now()
	services.Eventually(t, "all is committed", func() bool { return services.Finished(t, admin, topic, e.group) })
	t.Logf("committed %s after the replica was back", time.Since(begun))
	services.Eventually(t, "the hold is over", func() bool { s := e.status(t); return s.Hold == nil && s.State == "flowing" })
	e.ShutDown(t)
	delivered(t, hook, written, false)
	letters := letterBodies(t, k, e.letters)
	want := fmt.Sprintf("default/lines/%s/0/50", topic)
	if len(letters) != 1 || string(letters[want]) != "no session" {
		t.Errorf("dead letters %q, want %q alone", letters, want)
	}
}

// letterBodies reads a topic of dead letters: of each key the newest record, without what has a tombstone.
func letterBodies(t *testing.T, k *services.Kafka, topic string) map[string][]byte {
	t.Helper()
	letters := map[string][]byte{}
	for _, r := range services.ReadTopic(t, k, topic) {
		if letters[string(r.Key)] = r.Value; r.Value == nil {
			delete(letters, string(r.Key))
		}
	}
	return letters
}

// picky is a webhook that refuses bodies with certain sessions, until it is mended.
type picky struct {
	services.Webhook

	mu      sync.Mutex
	refuses map[string]bool
}

// ServeHTTP implements http.Handler.
func (h *picky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	refuses := h.refuses
	h.mu.Unlock()
	for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
		if id, err := services.SessionID(lines.Text()); err != nil || refuses[id] {
			http.Error(w, "unknown application", http.StatusUnprocessableEntity)
			return
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	h.Webhook.ServeHTTP(w, r)
}

func (h *picky) refuse(ids map[string]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuses = ids
}

// TestRedrive sends dead letters again, beside the running program: to a receiver that still refuses them, to one that
// is gone, and to one that takes them.
func TestRedrive(t *testing.T) { everyShared(t, redrive) }

func redrive(t *testing.T, k *services.Kafka) {
	const partitions, sessions = 2, 300
	topic := services.NewTopic(t, k, partitions, nil)
	admin := kadm.NewClient(services.Franz(t, k))
	refused := map[string]bool{}
	for i := 20; i < sessions; i += 70 {
		refused[fmt.Sprintf("s-%d", i)] = true
	}
	hook := &picky{}
	hook.refuse(refused)
	e := install(t, exporterOptions{brokers: k.Brokers(), topic: topic, handler: hook, custom: "compression=none\n"})
	e.Start(t)
	written := produce(t, k, topic, partitions, 0, sessions)
	services.Eventually(t, "all is committed", func() bool { return services.Finished(t, admin, topic, e.group) })
	letters := letterBodies(t, k, e.letters)
	if len(letters) != len(refused) {
		t.Errorf("%d dead letters, want %d", len(letters), len(refused))
	}
	for key, body := range letters {
		if id, err := services.SessionID(string(body)); err != nil || !refused[id] {
			t.Errorf("letter %s is %.80q", key, body)
		}
	}

	again := func(want string) {
		t.Helper()
		output, err := e.Run(services.Context(t), "dead-letters", "redrive", "--config", "config.yaml", "--yes", "--output", "json")
		t.Logf("redrive: %v\n%s", err, output)
		if (err == nil) != (want == "") {
			t.Errorf("redrive ended with %v", err)
		}
		if err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("redrive does not say %q: %v", want, err)
		}
	}
	again("422")
	if n := len(letterBodies(t, k, e.letters)); n != len(refused) {
		t.Errorf("%d dead letters after a redrive that was refused, want %d", n, len(refused))
	}
	if most := attempts(t, e); most < 2 {
		t.Errorf("the letters say %d attempts, want those of the redrive to be added", most)
	}
	hook.refuse(nil)
	again("")
	if letters := letterBodies(t, k, e.letters); len(letters) != 0 {
		t.Errorf("letters left: %q", letters)
	}
	again("") // nothing is left to do
	e.ShutDown(t)
	delivered(t, &hook.Webhook, written, false)
	if !services.Finished(t, admin, topic, e.group) {
		t.Error("the redrive has moved the group's offsets")
	}
}

// attempts returns the largest number of attempts that a letter tells.
func attempts(t *testing.T, e *exporter) int {
	t.Helper()
	output, err := e.Run(services.Context(t), "dead-letters", "list", "--config", "config.yaml", "--output", "json")
	must(t, err)
	var list []struct{ Attempts int }
	if err := json.Unmarshal([]byte(output), &list); err != nil {
		t.Fatalf("reading the list: %v\n%s", err, output)
	}
	most := 0
	for _, letter := range list {
		most = max(most, letter.Attempts)
	}
	return most
}
