// Package consumer is one member of a Kafka consumer group: membership, raw
// fetches, record batches, commits and lag. It knows records, and nothing of
// what is in them.
package consumer

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// metadataTTL is how old the layout of the cluster may be. kafka-go refreshes
// at random times below it, and gives up an answer that takes longer.
const metadataTTL = time.Second

// layoutTimeout is how long the layout may take beyond connecting.
const layoutTimeout = 3 * time.Second

// KafkaOptions say how to reach a cluster.
type KafkaOptions struct {
	Brokers  []string // host:port; any of them will do
	ClientID string   // in the broker's log and quotas; default "session-export"
	TLS      *tls.Config
	SASL     sasl.Mechanism
	Logger   *slog.Logger // default slog.Default()
	// DialTimeout covers connecting, the TLS handshake and signing in; default 5 s.
	DialTimeout time.Duration
	// FetchBudget is how many fetched bytes all members together may hold,
	// default 8 MiB. Less than two fetches a member makes them small.
	FetchBudget int64
}

// Kafka is one cluster, shared by the members and producers of a process. The
// members have connections of their own, so that nothing one of them waits for
// delays another; what they fetch comes out of one budget.
type Kafka struct {
	options KafkaOptions
	log     *slog.Logger
	budget  *budget
	mu      sync.Mutex
	shared  *link // of producers and administration
	links   map[*link]struct{}
	closed  bool
}

// Connect prepares the use of a cluster. It does no I/O: what is wrong with
// the options shows when they are first used.
func Connect(o KafkaOptions) *Kafka {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.ClientID == "" {
		o.ClientID = "session-export"
	}
	if o.DialTimeout <= 0 {
		o.DialTimeout = 5 * time.Second
	}
	if o.FetchBudget <= 0 {
		o.FetchBudget = defaultBudget
	}
	freeBuffers.allow(o.FetchBudget)
	return &Kafka{
		options: o, log: o.Logger, budget: &budget{total: o.FetchBudget},
		links: make(map[*link]struct{}),
	}
}

// Client returns a client for producers and administration. Its requests have
// no deadline of their own: pass a context with one.
func (k *Kafka) Client() *kafka.Client {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.shared == nil {
		k.shared = k.newLink("")
	}
	return &kafka.Client{Addr: k.shared.addr, Transport: k.shared.transport}
}

// Close closes every connection at once, whatever it is waiting for. Members
// must have returned from Run.
func (k *Kafka) Close() error {
	k.mu.Lock()
	k.closed = true
	links := make([]*link, 0, len(k.links))
	for l := range k.links {
		links = append(links, l)
	}
	k.mu.Unlock()
	for _, l := range links {
		l.close()
	}
	return nil
}

// link is the connections of one user of the cluster.
type link struct {
	kafka       *Kafka
	addr        net.Addr
	transport   *kafka.Transport
	connections *connections
	cancel      context.CancelFunc
}

// newLink is called with k.mu held. A topic keeps the layout that the link
// keeps up to date down to that topic.
func (k *Kafka) newLink(topic string) *link {
	ctx, cancel := context.WithCancel(context.Background())
	l := &link{
		kafka: k, addr: kafka.TCP(k.options.Brokers...), connections: newConnections(k.options.DialTimeout), cancel: cancel,
	}
	l.transport = &kafka.Transport{
		Dial:        l.connections.dial,
		DialTimeout: k.options.DialTimeout,
		ClientID:    k.options.ClientID,
		TLS:         k.options.TLS,
		SASL:        k.options.SASL,
		Context:     ctx,
		MetadataTTL: metadataTTL,
	}
	if topic != "" {
		l.transport.MetadataTopics = []string{topic}
	} else {
		l.transport.MetadataTTL = 0 // kafka-go's default: the whole cluster's layout can be large
	}
	if k.closed {
		l.connections.close()
	}
	k.links[l] = struct{}{}
	return l
}

func (k *Kafka) link(topic string) *link {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.newLink(topic)
}

func (l *link) dialTimeout() time.Duration { return l.kafka.options.DialTimeout }

// close ends all connections without waiting for what is on them.
func (l *link) close() {
	l.kafka.mu.Lock()
	delete(l.kafka.links, l)
	l.kafka.mu.Unlock()
	l.cancel()
	l.transport.CloseIdleConnections()
	l.connections.close()
}

// roundTrip sends a request with a deadline.
func roundTrip[T kafka.Response](ctx context.Context, l *link, timeout time.Duration, req kafka.Request) (T, error) {
	var none T
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	res, err := l.transport.RoundTrip(ctx, l.addr, req)
	if err != nil {
		return none, err //nolint:wrapcheck // the caller says what it was doing
	}
	r, ok := res.(T)
	if !ok {
		return none, fmt.Errorf("answer is of type %T", res)
	}
	return r, nil
}

// SASLMechanism returns the mechanism of a name: PLAIN, SCRAM-SHA-256 or
// SCRAM-SHA-512. The error never contains the password.
func SASLMechanism(name, user, password string) (sasl.Mechanism, error) {
	var algorithm scram.Algorithm
	switch name {
	case "PLAIN":
		return plain.Mechanism{Username: user, Password: password}, nil
	case "SCRAM-SHA-256":
		algorithm = scram.SHA256
	case "SCRAM-SHA-512":
		algorithm = scram.SHA512
	default:
		return nil, fmt.Errorf("SASL mechanism %q is none of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512", name)
	}
	m, err := scram.Mechanism(algorithm, user, password)
	if err != nil {
		return nil, fmt.Errorf("preparing %s for user %q: user or password has characters that SASLprep does not allow", name, user)
	}
	return m, nil
}
