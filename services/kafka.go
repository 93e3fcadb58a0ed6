//go:build services

package services

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

const (
	kafkaClusterID    = "MkU3OEVBNTcwNTJENDM2Qg" // any 16 bytes in URL-safe base64
	kafkaStartTimeout = 3 * time.Minute          // 4 s alone on a quiet machine, 30 s for three nodes on a busy one
	kafkaStopTimeout  = time.Minute
)

// KafkaOptions says which cluster to start.
type KafkaOptions struct {
	Version    string            // default: the pinned one
	Nodes      int               // brokers, each a controller as well; default 1
	Properties map[string]string // added to every node's server.properties

	// Authority adds a listener for TLS with SASL and one for TLS with client certificates, and the rule that whoever
	// comes in through them may do only what was granted.
	Authority *Authority

	// Proxied adds a listener to each node that is known by the address of a proxy in front of it, which the caller sets up:
	// one for each node. Behind says where the proxies have to lead.
	Proxied []string
}

// Kafka is a running cluster.
type Kafka struct {
	version string
	dir     string
	libs    string
	nodes   []*Node
}

// Node is one broker of a cluster.
type Node struct {
	ID int32

	dir     string
	libs    string
	address string   // without security
	sasl    string   // "" without an Authority
	mutual  string   // "" without an Authority
	behind  string   // "" without Proxied
	process *Process // nil while it does not run
}

// StartKafka starts a cluster that ends with the test.
func StartKafka(tb testing.TB, o KafkaOptions) *Kafka {
	tb.Helper()
	k, err := OpenKafka(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			for _, n := range k.nodes {
				if n.process != nil {
					tb.Logf("node %d printed last:\n%s", n.ID, n.process.Output())
				}
			}
		}
		if err := k.Close(); err != nil {
			tb.Error(err)
		}
	})
	return k
}

// OpenKafka formats and starts a cluster and waits until every node is ready. Close ends it.
func OpenKafka(o KafkaOptions) (k *Kafka, err error) {
	if o.Version == "" {
		if o.Version, err = Pin("KAFKA_VERSION"); err != nil {
			return nil, err
		}
	}
	home, err := Installed("kafka", o.Version)
	if err != nil {
		return nil, err
	}
	count := max(o.Nodes, 1)
	ports, err := FreePorts(5 * count)
	if err != nil {
		return nil, err
	}
	dir, err := WorkFolder()
	if err != nil {
		return nil, err
	}
	k = &Kafka{version: o.Version, dir: dir, libs: filepath.Join(home, "libs", "*")}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.Close())
		}
	}()

	brokers, controllers := ports[:count], ports[count:2*count]
	sasl, mutual, behind := ports[2*count:3*count], ports[3*count:4*count], ports[4*count:]
	for i := range count {
		n := &Node{
			ID:      int32(i + 1),
			dir:     filepath.Join(dir, strconv.Itoa(i+1)),
			libs:    k.libs,
			address: Loopback(brokers[i]),
		}
		properties := n.properties(controllers)
		if o.Authority != nil {
			n.sasl, n.mutual = Loopback(sasl[i]), Loopback(mutual[i])
			maps.Copy(properties, n.security(properties))
		}
		if o.Proxied != nil {
			n.behind = Loopback(behind[i])
			maps.Copy(properties, proxied(properties, n.behind, o.Proxied[i]))
		}
		maps.Copy(properties, o.Properties)
		if err := n.write(properties, o.Authority); err != nil {
			return k, fmt.Errorf("configuring node %d: %w", n.ID, err)
		}
		k.nodes = append(k.nodes, n)
	}
	if err := k.each((*Node).format); err != nil {
		return k, fmt.Errorf("formatting: %w", err)
	}
	return k, k.each((*Node).Start)
}

// each does something with all nodes at the same time.
func (k *Kafka) each(do func(*Node) error) error {
	results := make(chan error, len(k.nodes))
	for _, n := range k.nodes {
		go func() { results <- do(n) }()
	}
	var all error
	for range k.nodes {
		all = errors.Join(all, <-results)
	}
	return all
}

// Brokers returns the addresses of all nodes.
func (k *Kafka) Brokers() []string {
	var brokers []string
	for _, n := range k.nodes {
		brokers = append(brokers, n.address)
	}
	return brokers
}

// SASLBrokers returns the addresses that want TLS and SASL.
func (k *Kafka) SASLBrokers() []string {
	var brokers []string
	for _, n := range k.nodes {
		brokers = append(brokers, n.sasl)
	}
	return brokers
}

// MutualBrokers returns the addresses that want TLS and a client certificate.
func (k *Kafka) MutualBrokers() []string {
	var brokers []string
	for _, n := range k.nodes {
		brokers = append(brokers, n.mutual)
	}
	return brokers
}

// Behind returns the addresses to which the proxies of KafkaOptions.Proxied lead.
func (k *Kafka) Behind() []string {
	var behind []string
	for _, n := range k.nodes {
		behind = append(behind, n.behind)
	}
	return behind
}

// Version is the cluster's version of Kafka.
func (k *Kafka) Version() string {
	return k.version
}

// Dir is a folder that the tools can read; it goes with the cluster.
func (k *Kafka) Dir() string {
	return k.dir
}

// Node returns the broker with an id, which count from 1.
func (k *Kafka) Node(id int32) *Node {
	return k.nodes[id-1]
}

// Close stops all nodes and removes what they wrote. It takes no care of what they store: everything goes.
func (k *Kafka) Close() error {
	err := k.each(func(n *Node) error {
		if n.process == nil {
			return nil
		}
		return n.Kill()
	})
	return errors.Join(err, os.RemoveAll(k.dir))
}

// Tool runs a class of Kafka's own tools to its end, as an unprivileged user, and returns what it printed.
func (k *Kafka) Tool(ctx context.Context, class string, args ...string) (string, error) {
	return kafkaTool(ctx, k.libs, k.dir, class, args...)
}

func (n *Node) format() error {
	ctx, cancel := context.WithTimeout(context.Background(), kafkaStartTimeout)
	defer cancel()
	_, err := kafkaTool(ctx, n.libs, n.dir, "kafka.tools.StorageTool", "format", "-c", "server.properties", "-t", kafkaClusterID)
	return err
}

// Start starts a node that does not run and waits until it is ready.
func (n *Node) Start() error {
	if n.process != nil {
		return fmt.Errorf("node %d runs already", n.ID)
	}
	p, err := Launch(Command{
		Name: fmt.Sprintf("Kafka node %d", n.ID),
		Dir:  n.dir,
		Args: []string{"java", "-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
			"-Dlog4j2.configurationFile=log4j2.properties", "-Dlog4j.configuration=file:log4j.properties", "-cp", n.libs, "kafka.Kafka", "server.properties"},
	}, "Kafka Server started")
	if err != nil {
		return err
	}
	n.process = p
	ctx, cancel := context.WithTimeout(context.Background(), kafkaStartTimeout)
	defer cancel()
	return p.Ready(ctx)
}

// Kill ends the node at once, as a power cut would.
func (n *Node) Kill() error {
	p := n.process
	n.process = nil
	return p.Kill()
}

// Stop shuts the node down in good order: it hands its partitions over first.
func (n *Node) Stop() error {
	p := n.process
	n.process = nil
	return p.Terminate(kafkaStopTimeout)
}

// Pause freezes the node: its connections stay open and nothing answers on them.
func (n *Node) Pause() error {
	return n.process.Signal(syscall.SIGSTOP)
}

// Resume lets a frozen node go on.
func (n *Node) Resume() error {
	return n.process.Signal(syscall.SIGCONT)
}

func kafkaTool(ctx context.Context, libs, dir, class string, args ...string) (string, error) {
	java := []string{"java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", libs, class}
	return RunTool(ctx, Command{Name: class, Dir: dir, Args: append(java, args...)})
}
