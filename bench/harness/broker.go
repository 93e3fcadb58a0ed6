package harness

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"bench/sessiongen"
)

// Topic is what a broker holds before a peer starts.
type Topic struct {
	Name       string  // of the files that go with it
	Sessions   int     // to fill it with
	Ahead      int     // sessions that will be produced later, in all; 0 when none are
	Partitions int     // 6 when 0
	Codec      string  // lz4 when empty
	BatchBytes int     // of the producer, 131072 when 0
	Median     float64 // bytes of a session, 4000 when 0
	Linger     string  // of the producer, e.g. 0s; 20ms when empty
	Seed       uint64  // 1 when 0
}

// Broker is a running broker with a topic.
type Broker struct {
	Topic   Topic
	bench   *Bench
	cmd     *exec.Cmd
	port    int
	bytes   float64 // of the sessions' values
	inScope map[string]int
}

// StartBroker starts a broker on the port and fills its topic. The next port is for its controls.
func (b *Bench) StartBroker(t Topic, port int) (*Broker, error) {
	t.Partitions, t.BatchBytes = max(t.Partitions, 0), max(t.BatchBytes, 0)
	if t.Partitions == 0 {
		t.Partitions = 6
	}
	if t.BatchBytes == 0 {
		t.BatchBytes = 131072
	}
	if t.Codec == "" {
		t.Codec = "lz4"
	}
	if t.Linger == "" {
		t.Linger = "20ms"
	}
	t.Seed = max(t.Seed, 1)
	k := &Broker{Topic: t, bench: b, port: port, inScope: map[string]int{}}
	log := filepath.Join(b.Work, "broker-"+t.Name+".log")
	var err error
	k.cmd, err = b.procs.start(command{log: log, pin: b.PinInfra, args: []string{filepath.Join(b.Bin, "broker"),
		"-port", strconv.Itoa(port), "-ctl", k.control(), "-n", strconv.Itoa(t.Sessions), "-ahead", strconv.Itoa(t.Ahead),
		"-partitions", strconv.Itoa(t.Partitions), "-compression", t.Codec, "-batch-bytes", strconv.Itoa(t.BatchBytes),
		"-median", fmt.Sprint(t.Median), "-linger", t.Linger, "-seed", fmt.Sprint(t.Seed), "-crc", k.crcFile()}})
	if err != nil {
		return nil, err
	}
	ready, err := waitLine(log, "READY ", 5*time.Minute, k.cmd)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the broker: %w", err), k.Stop())
	}
	var m struct{ Bytes float64 }
	if err := json.Unmarshal([]byte(ready), &m); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the broker: %w", err), k.Stop())
	}
	k.bytes = m.Bytes
	return k, nil
}

// Stop ends the broker.
func (k *Broker) Stop() error { return k.bench.procs.stop(k.cmd) }

func (k *Broker) sessions() int { return k.Topic.Sessions + k.Topic.Ahead }

func (k *Broker) crcFile() string { return filepath.Join(k.bench.Work, "crc-"+k.Topic.Name+".bin") }

func (k *Broker) control() string { return fmt.Sprintf("127.0.0.1:%d", k.port+1) }

// ask sends a request to the controls and reads the answer.
func (k *Broker) ask(method, path string, query url.Values, into any) error {
	req, err := http.NewRequest(method, "http://"+k.control()+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("asking the broker for %s: %s", path, bytes.TrimSpace(b))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(b, into)
}

// lag is what a group has not committed, -1 when it committed nothing or cannot be asked.
func (k *Broker) lag(group string) int64 {
	var l struct{ Lag, End int64 }
	if k.ask("GET", "/lag", url.Values{"group": {group}}, &l) != nil || l.End == 0 {
		return -1
	}
	return l.Lag
}

// waitMembers waits until the group is stable with so many members.
func (k *Broker) waitMembers(group string, members int) error {
	var g struct {
		State   string
		Members int
	}
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		err := k.ask("GET", "/group", url.Values{"group": {group}}, &g)
		if err == nil && g.State == "Stable" && g.Members == members {
			return nil
		}
	}
	return fmt.Errorf("group %s is %s with %d members after two minutes, want %d", group, g.State, g.Members, members)
}

// gate lets fetches wait, or lets them through again.
func (k *Broker) gate(closed bool) error {
	return k.ask("POST", "/gate", url.Values{"closed": {strconv.FormatBool(closed)}}, nil)
}

// produce adds sessions at a rate, and takes as long as that takes.
func (k *Broker) produce(n int, rate float64) error {
	return k.ask("POST", "/produce", url.Values{"n": {strconv.Itoa(n)}, "rate": {fmt.Sprint(rate)}}, nil)
}

// appended are the times of all produced sessions, in nanoseconds: given to the producer, and acknowledged.
func (k *Broker) appended() (times [][2]int64, err error) {
	err = k.ask("GET", "/appended", nil, &times)
	return times, err
}

// expected counts the sessions of the topic that belong to a zone, all of them when it names no application.
func (k *Broker) expected(zone []string) int {
	if len(zone) == 0 {
		return k.sessions()
	}
	key := fmt.Sprint(zone)
	if n, ok := k.inScope[key]; ok {
		return n
	}
	g := sessiongen.New(k.Topic.Seed)
	g.Median = k.Topic.Median
	n := 0
	var b []byte
	for i := range k.sessions() {
		b = g.Append(b[:0], i)
		if inZone(b, zone) {
			n++
		}
	}
	k.inScope[key] = n
	return n
}

// inZone looks for the applications, as they are written in JSON, among the user actions of a generated session.
func inZone(session []byte, zone []string) bool {
	_, actions, _ := bytes.Cut(session, []byte(`"userActions":[`))
	actions, _, _ = bytes.Cut(actions, []byte(`],"events":[`))
	for _, a := range zone {
		if bytes.Contains(actions, []byte(`"application":"`+a+`"`)) {
			return true
		}
	}
	return false
}
