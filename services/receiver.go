//go:build services

package services

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Webhook receives sessions as JSON lines and knows which came how often.
type Webhook struct {
	Partitions int32 // of the topic that a Load fills; so many that Quiet tells them apart

	mu       sync.Mutex
	received int
	sessions map[string]int
	gaps     gaps
}

// ServeHTTP implements http.Handler. A body of which a line is no session is refused as a whole.
func (h *Webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var ids []string
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		id, err := SessionID(lines.Text())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ids = append(ids, id)
	}
	if err := lines.Err(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions == nil {
		h.sessions = map[string]int{}
	}
	for _, id := range ids {
		h.received++
		h.sessions[id]++
		var number int32
		if _, err := fmt.Sscanf(id, "s-%d", &number); err == nil && h.Partitions > 0 {
			h.gaps.saw(number % h.Partitions)
		}
	}
}

// Count returns how many sessions came, those that came again included.
func (h *Webhook) Count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.received
}

// Sessions returns how often each session came, by its id.
func (h *Webhook) Sessions() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.sessions)
}

// Quiet returns the longest time that a partition was without a delivery since Quiet was called last, the time up to now
// included.
func (h *Webhook) Quiet() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gaps.longest()
}

// SessionID reads the id of a session.
func SessionID(value string) (string, error) {
	var session struct{ UserSessionID string }
	if err := json.Unmarshal([]byte(value), &session); err != nil {
		return "", fmt.Errorf("reading a session: %w", err)
	}
	return session.UserSessionID, nil
}

// Secure serves a handler over TLS with a certificate of an authority until the test ends, and returns its URL.
func Secure(tb testing.TB, authority *Authority, handler http.Handler) string {
	tb.Helper()
	certificate, _, err := authority.Issue("receiver")
	if err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	tb.Cleanup(server.Close)
	return strings.TrimSuffix(server.URL, "/")
}

// ReadTopic reads a topic that no transaction or compaction has touched from its beginning to its present end.
func ReadTopic(tb testing.TB, k *Kafka, topic string) []*kgo.Record {
	tb.Helper()
	ctx := Context(tb)
	client := Franz(tb, k, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err != nil {
		tb.Fatal(err)
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	var records []*kgo.Record
	for int64(len(records)) < left {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			tb.Fatal(err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}
