//go:build services

package kafka_test

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/consumer"
	"sessionexport/services"
)

// TestSecurity reads through TLS with each way to sign in. Every reader starts without any right, says so, and goes on
// when it is granted what docs/kafka.md asks for.
func TestSecurity(t *testing.T) {
	authority, err := services.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	client, _, err := authority.Issue("exporter")
	if err != nil {
		t.Fatal(err)
	}
	k := services.StartKafka(t, services.KafkaOptions{Authority: authority})
	admin := kadm.NewClient(services.Franz(t, k))
	const password = "a password, with \"signs\""
	for user, mechanism := range map[string]kadm.ScramMechanism{"bob": kadm.ScramSha256, "carol": kadm.ScramSha512} {
		altered, err := admin.AlterUserSCRAMs(services.Context(t), nil, []kadm.UpsertSCRAM{
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
		{name: "plain", mechanism: "PLAIN", user: services.PlainUser, password: services.PlainPassword, principal: services.PlainUser},
		{name: "scram-256", mechanism: "SCRAM-SHA-256", user: "bob", password: password, principal: "bob"},
		{name: "scram-512", mechanism: "SCRAM-SHA-512", user: "carol", password: password, principal: "carol"},
		{name: "client certificate", mutual: true, principal: "CN=exporter"},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			topic := services.NewTopic(t, k, 2, nil)
			o := consumer.KafkaOptions{Brokers: k.SASLBrokers(), TLS: &tls.Config{RootCAs: authority.Pool, MinVersion: tls.VersionTLS12}}
			if way.mutual {
				o.Brokers = k.MutualBrokers()
				o.TLS.Certificates = []tls.Certificate{client}
			} else {
				o.SASL = mechanism(t, way.mechanism, way.user, way.password)
			}
			r := services.StartReader(t, services.Connect(t, o), topic, topic)
			refused := func(what string) {
				t.Helper()
				services.Eventually(t, "the refusal of the "+what+" is named", func() bool {
					s := r.Member.Status()
					return s.State == consumer.StateRefused && strings.Contains(strings.ToLower(s.LastError), what)
				})
				t.Log(r.Member.Status().LastError)
			}
			refused("topic")
			grant(t, admin, way.principal, kadm.NewACLs().Topics(topic).Operations(kadm.OpRead))
			refused("group")
			grant(t, admin, way.principal, kadm.NewACLs().Groups(topic).Operations(kadm.OpRead))

			producer := services.Franz(t, k, kgo.DefaultProduceTopic(topic))
			want := map[services.Place]string{}
			for i := range 100 {
				record := kgo.StringRecord(services.Document(i))
				if err := producer.ProduceSync(services.Context(t), record).FirstErr(); err != nil {
					t.Fatal(err)
				}
				want[services.Place{Partition: record.Partition, Offset: record.Offset}] = string(record.Value)
			}
			services.Eventually(t, "all is committed", func() bool { return services.Finished(t, admin, topic, topic) })
			r.Stop()
			services.SameRecords(t, r.Read(), want)
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
			r := services.StartReader(t, services.Connect(t, w.o), "any", "any")
			services.Eventually(t, "the error is named", func() bool { return r.Member.Status().LastError != "" })
			s := r.Member.Status()
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
	created, err := admin.CreateACLs(services.Context(t), rights)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range created {
		if c.Err != nil {
			t.Fatalf("granting %s: %v (%s)", principal, c.Err, c.ErrMessage)
		}
	}
}
