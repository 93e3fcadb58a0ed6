//go:build services

package services

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/consumer"
)

// TestSecurity reads through TLS with each way to sign in. Every reader starts without any right, says so, and goes on
// when it is granted what docs/kafka.md asks for.
func TestSecurity(t *testing.T) {
	authority, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	client, _, err := authority.Issue("exporter")
	if err != nil {
		t.Fatal(err)
	}
	k := StartKafka(t, KafkaOptions{Authority: authority})
	admin := kadm.NewClient(franz(t, k))
	const password = "a password, with \"signs\""
	for user, mechanism := range map[string]kadm.ScramMechanism{"bob": kadm.ScramSha256, "carol": kadm.ScramSha512} {
		altered, err := admin.AlterUserSCRAMs(testContext(t), nil, []kadm.UpsertSCRAM{
			{User: user, Mechanism: mechanism, Iterations: 4096, Password: password}})
		if err != nil {
			t.Fatal(err)
		}
		if !altered.Ok() {
			t.Fatalf("making user %s: %v", user, altered.Error())
		}
	}

	ways := []struct {
		name, mechanism, user, password, principal string
		mutual                                     bool
	}{
		{name: "plain", mechanism: "PLAIN", user: plainUser, password: plainPassword, principal: plainUser},
		{name: "scram-256", mechanism: "SCRAM-SHA-256", user: "bob", password: password, principal: "bob"},
		{name: "scram-512", mechanism: "SCRAM-SHA-512", user: "carol", password: password, principal: "carol"},
		{name: "client certificate", mutual: true, principal: "CN=exporter"},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			topic := newTopic(t, k, 2, nil)
			o := consumer.KafkaOptions{Brokers: k.SASLBrokers(), TLS: &tls.Config{RootCAs: authority.Pool, MinVersion: tls.VersionTLS12}}
			if way.mutual {
				o.Brokers = k.MutualBrokers()
				o.TLS.Certificates = []tls.Certificate{client}
			} else {
				o.SASL = mechanism(t, way.mechanism, way.user, way.password)
			}
			r := startReader(t, connect(t, o), topic, topic)
			refused := func(what string) {
				t.Helper()
				eventually(t, "the refusal of the "+what+" is named", func() bool {
					s := r.member.Status()
					return s.State == consumer.StateRefused && strings.Contains(strings.ToLower(s.LastError), what)
				})
				t.Log(r.member.Status().LastError)
			}
			refused("topic")
			grant(t, admin, way.principal, kadm.NewACLs().Topics(topic).Operations(kadm.OpRead))
			refused("group")
			grant(t, admin, way.principal, kadm.NewACLs().Groups(topic).Operations(kadm.OpRead))

			producer := franz(t, k, kgo.DefaultProduceTopic(topic))
			want := map[place]string{}
			for i := range 100 {
				record := kgo.StringRecord(document(i))
				if err := producer.ProduceSync(testContext(t), record).FirstErr(); err != nil {
					t.Fatal(err)
				}
				want[place{record.Partition, record.Offset}] = string(record.Value)
			}
			eventually(t, "all is committed", func() bool { return finished(t, admin, topic, topic) })
			r.stop()
			sameRecords(t, r.read(), want)
		})
	}

	wrong := []struct {
		name string
		o    consumer.KafkaOptions
	}{
		{"wrong password", consumer.KafkaOptions{
			Brokers: k.SASLBrokers(), TLS: &tls.Config{RootCAs: authority.Pool, MinVersion: tls.VersionTLS12},
			SASL: mechanism(t, "SCRAM-SHA-512", "carol", "wrong-"+password)}},
		{"unknown authority", consumer.KafkaOptions{
			Brokers: k.SASLBrokers(), TLS: &tls.Config{MinVersion: tls.VersionTLS12},
			SASL: mechanism(t, "SCRAM-SHA-512", "carol", password)}},
		{"no client certificate", consumer.KafkaOptions{
			Brokers: k.MutualBrokers(), TLS: &tls.Config{RootCAs: authority.Pool, MinVersion: tls.VersionTLS12}}},
	}
	for _, w := range wrong {
		t.Run(w.name, func(t *testing.T) {
			r := startReader(t, connect(t, w.o), "any", "any")
			eventually(t, "the error is named", func() bool { return r.member.Status().LastError != "" })
			s := r.member.Status()
			if s.State != consumer.StateRefused {
				t.Errorf("state %q", s.State)
			}
			if strings.Contains(fmt.Sprint(s), password) {
				t.Errorf("the status quotes the password: %+v", s)
			}
			t.Logf("%s: %s", s.State, s.LastError)
		})
	}
}

func mechanism(t *testing.T, name, user, password string) sasl.Mechanism {
	t.Helper()
	m, err := consumer.SASLMechanism(name, user, password)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func grant(t *testing.T, admin *kadm.Client, principal string, rights *kadm.ACLBuilder) {
	t.Helper()
	rights = rights.ResourcePatternType(kadm.ACLPatternLiteral).Allow("User:" + principal)
	created, err := admin.CreateACLs(testContext(t), rights)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range created {
		if c.Err != nil {
			t.Fatalf("granting %s: %v (%s)", principal, c.Err, c.ErrMessage)
		}
	}
}
