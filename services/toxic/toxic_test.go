//go:build services

package toxic_test

import (
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	"sessionexport/services"
)

// fault is what a link suffers for a while.
type fault struct {
	name   string
	toxics []services.Toxic
	cut    bool // no connection at all
}

func toxic(kind, stream string, attributes map[string]int) services.Toxic {
	return services.Toxic{Type: kind, Stream: stream, Attributes: attributes}
}

var faults = []fault{
	{name: "latency of 300 ms both ways", toxics: []services.Toxic{
		toxic("latency", "upstream", map[string]int{"latency": 300}), toxic("latency", "downstream", map[string]int{"latency": 300})}},
	{name: "jitter of 400 ms", toxics: []services.Toxic{
		toxic("latency", "upstream", map[string]int{"latency": 400, "jitter": 400}), toxic("latency", "downstream", map[string]int{"latency": 400, "jitter": 400})}},
	{name: "bandwidth of 20 kB/s", toxics: []services.Toxic{
		toxic("bandwidth", "upstream", map[string]int{"rate": 20}), toxic("bandwidth", "downstream", map[string]int{"rate": 20})}},
	{name: "resets", toxics: []services.Toxic{toxic("reset_peer", "downstream", map[string]int{"timeout": 0})}},
	{name: "resets after 100 ms", toxics: []services.Toxic{toxic("reset_peer", "upstream", map[string]int{"timeout": 100})}},
	{name: "answers cut short", toxics: []services.Toxic{toxic("limit_data", "downstream", map[string]int{"bytes": 1500})}},
	{name: "requests cut short", toxics: []services.Toxic{toxic("limit_data", "upstream", map[string]int{"bytes": 4000})}},
	{name: "black hole", toxics: []services.Toxic{
		toxic("timeout", "upstream", map[string]int{"timeout": 0}), toxic("timeout", "downstream", map[string]int{"timeout": 0})}},
	{name: "half-open: answers vanish", toxics: []services.Toxic{toxic("timeout", "downstream", map[string]int{"timeout": 0})}},
	{name: "half-open: requests vanish", toxics: []services.Toxic{toxic("timeout", "upstream", map[string]int{"timeout": 0})}},
	{name: "slow close", toxics: []services.Toxic{
		toxic("slow_close", "upstream", map[string]int{"delay": 1000}), toxic("slow_close", "downstream", map[string]int{"delay": 1000})}},
	{name: "nobody listens", cut: true},
}

// place is a link that can be spoilt.
type place struct {
	name  string
	link  *services.Link
	stage *services.Stage
	got   *counter
}

const perSecond = 200 // sessions to each place

// TestToxic spoils the way to Kafka, to the endpoint and to the token server in every manner, one after the other, each
// while 600 sessions are produced: nothing is missing, nothing becomes a dead letter, and all of it is delivered soon after.
// What comes twice is stated.
func TestToxic(t *testing.T) {
	proxy := services.StartToxiproxy(t)
	ports, err := services.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	front := services.Loopback(ports[0])
	k := services.StartKafka(t, services.KafkaOptions{Proxied: []string{front}})
	authority, err := services.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	host := func(handler http.Handler) string {
		u, err := url.Parse(services.Secure(t, authority, handler))
		if err != nil {
			t.Fatal(err)
		}
		return u.Host
	}
	rounds := 1
	if os.Getenv(services.Matrix) == "full" {
		rounds = 5
	}
	t.Run("places", func(t *testing.T) {
		for _, name := range []string{"kafka", "endpoint", "tokens"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := place{name: name, got: &counter{}}
				export := services.Export{
					ID: "sink", Custom: []string{"maxSessions=50", "requestTimeout=2s", "initialBackoff=100ms", "maxBackoff=500ms"},
				}
				var brokers []string
				switch name {
				case "kafka":
					p.link = proxy.Link(t, name, front, k.Behind()[0])
					brokers = []string{front}
					export.URL = "https://" + host(p.got)
				case "endpoint":
					p.link = proxy.Link(t, name, "", host(p.got))
					export.URL = "https://" + p.link.Address
				case "tokens":
					p.got.token = token
					p.link = proxy.Link(t, name, "", host(http.HandlerFunc(tokens)))
					export.URL = "https://" + host(p.got)
					export.Authentication = `{active: true, authType: oauth2, oAuth2: {accessTokenUrl: "https://` + p.link.Address +
						`/token", clientId: exporter, clientSecretFile: client}}`
				}
				p.stage = services.NewStage(t, services.StageOptions{
					Kafka: k, Brokers: brokers, Authority: authority, Exports: []services.Export{export},
					Secrets: map[string]string{"client": "cl1ent-s3cret-of-the-test"},
				})
				p.suffer(t, k, rounds)
			})
		}
	})
}

// suffer goes through all faults under load.
func (p *place) suffer(t *testing.T, k *services.Kafka, rounds int) {
	p.stage.Program.Start(t)
	load := services.StartLoad(t, k, p.stage.Topic("sink"), 2, perSecond)
	produced := load.Count
	p.caughtUp(t, "the start", 100)
	for range rounds {
		for _, f := range faults {
			_, before := p.got.state()
			target := produced() + 3*perSecond
			p.spoil(t, f)
			services.Eventually(t, "sessions are produced meanwhile", func() bool { return produced() >= target })
			if whole, _ := p.got.state(); f.cut && p.name != "tokens" && whole >= target { // a token lives on for a while
				t.Errorf("%s: %d sessions came although nobody listened: the link is not used", p.name, whole)
			}
			p.cure(t, f)
			back := time.Now()
			target = produced()
			p.caughtUp(t, f.name, target)
			_, after := p.got.state()
			t.Logf("%-8s | %-27s | again %4d | recovered after %6d ms", p.name, f.name, after-before, time.Since(back).Milliseconds())
		}
	}
	load.Stop()
	p.caughtUp(t, "the end", produced())
	p.stage.Finished(t, "sink")
	whole, again := p.got.state()
	status, _ := p.stage.Sink(t, "sink")
	t.Logf("%s: produced %d, delivered %d, dead letters %d, again %d", p.name, produced(), whole, status.Sessions.DeadLetters, again)
	if whole != produced() || status.Sessions.DeadLetters != 0 || status.Sessions.Discarded != 0 {
		t.Errorf("produced %d, delivered %d without a gap, %+v", produced(), whole, status.Sessions)
	}
	if again > 0 && p.name == "tokens" {
		t.Errorf("%d came again: the way to the endpoint was well", again)
	}
}

func (p *place) spoil(t *testing.T, f fault) {
	if f.cut {
		p.link.Cut(t)
		return
	}
	p.link.Spoil(t, f.toxics...)
}

func (p *place) cure(t *testing.T, f fault) {
	if f.cut {
		p.link.Mend(t)
		return
	}
	p.link.Cure(t, f.toxics...)
}

// caughtUp waits until so many sessions have come without a gap. Numbers are acknowledged nearly in order.
func (p *place) caughtUp(t *testing.T, after string, sessions int) {
	t.Helper()
	services.Eventually(t, "everything has come after "+after, func() bool {
		whole, _ := p.got.state()
		return whole >= sessions
	})
}
