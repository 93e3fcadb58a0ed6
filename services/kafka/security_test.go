//go:build services

package kafka_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/services"
)

// TestSecurity runs the program through TLS with each way to sign in. It starts without any right, says so, goes on when
// it is granted what docs/kafka.md asks for, and delivers. With a wrong password or certificate it says which.
func TestSecurity(t *testing.T) {
	t.Parallel()
	everyVersion(t, func(t *testing.T, version string) {
		authority, err := services.NewAuthority()
		must(t, err)
		k := services.StartKafka(t, services.KafkaOptions{Version: version, Authority: authority})
		admin := kadm.NewClient(services.Franz(t, k))
		for user, mechanism := range map[string]kadm.ScramMechanism{"bob": kadm.ScramSha256, "carol": kadm.ScramSha512} {
			altered, err := admin.AlterUserSCRAMs(services.Context(t), nil, []kadm.UpsertSCRAM{
				{User: user, Mechanism: mechanism, Iterations: 4096, Password: scramPassword}})
			must(t, err)
			if !altered.Ok() {
				t.Fatalf("making user %s: %v", user, altered.Error())
			}
		}
		t.Run("accepted", func(t *testing.T) { accepted(t, k, admin, authority) })
		t.Run("refused", func(t *testing.T) { refused(t, k, authority) })
	})
}

const (
	scramPassword = "a password, with \"signs\""
	wrongPassword = "a password of somebody else"
)

// credentials are what the program signs in with.
type credentials struct {
	mechanism, user, password string
	authority                 *services.Authority // of the brokers
	client                    *services.Authority // of a client certificate, for the listener that asks for one
	mutual                    bool
}

// options are those of a program with such credentials.
func (c credentials) options(t *testing.T, k *services.Kafka) exporterOptions {
	t.Helper()
	o := exporterOptions{brokers: k.SASLBrokers(), files: map[string][]byte{"kafka-ca.pem": c.authority.PEM}}
	o.kafka = "tls: {enabled: true, caFile: kafka-ca.pem}"
	if c.mechanism != "" {
		o.kafka += fmt.Sprintf(", sasl: {mechanism: %s, username: %s, passwordFile: kafka.password}", c.mechanism, c.user)
		o.files["secrets/kafka.password"] = []byte(c.password)
	}
	if c.mutual {
		o.brokers = k.MutualBrokers()
	}
	if c.client != nil {
		_, both, err := c.client.Issue("exporter")
		must(t, err)
		o.kafka = "tls: {enabled: true, caFile: kafka-ca.pem, certFile: client.pem, keyFile: client.pem}"
		o.files["client.pem"] = both
	}
	return o
}

func accepted(t *testing.T, k *services.Kafka, admin *kadm.Client, authority *services.Authority) {
	for _, way := range []struct {
		name, principal string
		credentials     credentials
	}{
		{"plain", services.PlainUser, credentials{mechanism: "PLAIN", user: services.PlainUser, password: services.PlainPassword}},
		{"scram-256", "bob", credentials{mechanism: "SCRAM-SHA-256", user: "bob", password: scramPassword}},
		{"scram-512", "carol", credentials{mechanism: "SCRAM-SHA-512", user: "carol", password: scramPassword}},
		{"client certificate", "CN=exporter", credentials{mutual: true, client: authority}},
	} {
		t.Run(way.name, func(t *testing.T) {
			topic := services.NewTopic(t, k, 2, nil)
			way.credentials.authority = authority
			hook := &services.Webhook{}
			o := way.credentials.options(t, k)
			o.topic, o.handler = topic, hook
			e := install(t, o)
			e.Launch(t)
			told := func(what string) {
				t.Helper()
				services.Eventually(t, "the refusal of the "+what+" is named", func() bool {
					s := e.status(t).Kafka
					return s.State == "refused" && strings.Contains(strings.ToLower(s.Error), what)
				})
				t.Log(e.status(t).Kafka.Error)
			}
			told("topic")
			grant(t, admin, way.principal, kadm.NewACLs().Topics(topic).Operations(kadm.OpRead))
			told("group")
			grant(t, admin, way.principal, kadm.NewACLs().Groups(e.group).Operations(kadm.OpRead))
			written := produce(t, k, topic, 2, 0, 100)
			services.Eventually(t, "all is committed", func() bool { return services.Finished(t, admin, topic, e.group) })

			// A letter needs the rights on its topic, which is made when they are there.
			bad := services.Franz(t, k, kgo.DefaultProduceTopic(topic))
			must(t, bad.ProduceSync(services.Context(t), kgo.StringRecord("no session")).FirstErr())
			services.Eventually(t, "the missing rights on the dead letters hold the sink", func() bool {
				s := e.status(t)
				return s.Hold != nil && s.Hold.Reason == "dead_letters"
			})
			grant(t, admin, way.principal, kadm.NewACLs().Topics(e.letters).
				Operations(kadm.OpWrite, kadm.OpDescribe, kadm.OpCreate, kadm.OpDescribeConfigs))
			services.Eventually(t, "all is committed", func() bool { return services.Finished(t, admin, topic, e.group) })
			e.ShutDown(t)
			delivered(t, hook, written, false)
			if n := len(letterBodies(t, k, e.letters)); n != 1 {
				t.Errorf("%d dead letters, want 1", n)
			}
		})
	}
}

func refused(t *testing.T, k *services.Kafka, authority *services.Authority) {
	other, err := services.NewAuthority()
	must(t, err)
	for _, wrong := range []struct {
		name, want  string
		credentials credentials
	}{
		{"wrong password by PLAIN", "user or password is wrong",
			credentials{mechanism: "PLAIN", user: services.PlainUser, password: wrongPassword, authority: authority}},
		{"wrong password by SCRAM-SHA-256", "user or password is wrong",
			credentials{mechanism: "SCRAM-SHA-256", user: "bob", password: wrongPassword, authority: authority}},
		{"wrong password by SCRAM-SHA-512", "user or password is wrong",
			credentials{mechanism: "SCRAM-SHA-512", user: "carol", password: wrongPassword, authority: authority}},
		{"unknown user", "user or password is wrong",
			credentials{mechanism: "SCRAM-SHA-512", user: "mallory", password: wrongPassword, authority: authority}},
		{"brokers of another authority", "is not signed by the authority that is trusted",
			credentials{mechanism: "SCRAM-SHA-512", user: "carol", password: scramPassword, authority: other}},
		{"no client certificate", "does not accept the client certificate, or asks for one",
			credentials{mutual: true, authority: authority}},
		{"client certificate of another authority", "does not accept the client certificate, or asks for one",
			credentials{mutual: true, authority: authority, client: other}},
	} {
		t.Run(wrong.name, func(t *testing.T) {
			o := wrong.credentials.options(t, k)
			o.topic, o.handler = services.TopicName(t), &services.Webhook{}
			e := install(t, o)
			e.Launch(t)
			var unready string
			services.Eventually(t, "/readyz names the reason", func() bool {
				status, body, err := e.Get(services.Context(t), "/readyz")
				unready = body
				return err == nil && status == http.StatusServiceUnavailable && strings.Contains(body, wrong.want)
			})
			if s := e.status(t).Kafka; s.State != "refused" || !strings.Contains(s.Error, wrong.want) {
				t.Errorf("state %q, error %q", s.State, s.Error)
			}
			services.Eventually(t, "the log names the reason", func() bool { return strings.Contains(e.Process().Output(), wrong.want) })
			for _, text := range []string{unready, e.Process().Output()} {
				if strings.Contains(text, wrongPassword) || strings.Contains(text, "with \"signs\"") {
					t.Errorf("the password is shown: %s", text)
				}
			}
			t.Log(strings.TrimSpace(unready))
		})
	}
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
