package consumer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

const testPassword = "correct horse battery"

func TestSASL(t *testing.T) {
	for _, name := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, kfake.EnableSASL(), kfake.Superuser(name, "exporter", testPassword),
				kfake.Superuser("PLAIN", "producer", "p"), kfake.SeedTopics(1, testTopic))
			produce(t, c, 0, numbered("x", 3), kgo.SASL(plain.Auth{User: "producer", Pass: "p"}.AsMechanism()))
			mechanism, err := SASLMechanism(name, "exporter", testPassword)
			if err != nil {
				t.Fatal(err)
			}
			h := start(t, testOptions(t, connect(t, c, func(o *KafkaOptions) { o.SASL = mechanism })))
			h.untilRecords(3)
			if err := h.stop(); err != nil {
				t.Fatal(err)
			}

			const wrong = "secret of somebody else"
			mechanism, err = SASLMechanism(name, "exporter", wrong)
			if err != nil {
				t.Fatal(err)
			}
			h = start(t, testOptions(t, connect(t, c, func(o *KafkaOptions) { o.SASL = mechanism })))
			h.until("refused", func() bool { return h.Status().State == StateRefused })
			s := h.Status().LastError
			if !strings.Contains(s, "user or password is wrong") || strings.Contains(s, wrong) {
				t.Errorf("last error %q; want it to name the password and not to show it", s)
			}
			var e *Error
			if n := h.noticed(NoticeTrouble); len(n) != 1 || !errors.As(n[0].Err, &e) || e.Kind != ErrCredentials {
				t.Errorf("notices %v", n)
			}
		})
	}
	if _, err := SASLMechanism("GSSAPI", "u", "p"); err == nil {
		t.Error("a mechanism that is not offered was accepted")
	}
	if _, err := SASLMechanism("SCRAM-SHA-256", "u", "secret\x00\x07"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a password that SASLprep does not allow: %v", err)
	}
}

// authority issues certificates for 127.0.0.1.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	der, key := issue(t, nil, nil)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, a.key = cert, key
	a.pool.AddCert(cert)
	return a
}

func (a *authority) certificate(t *testing.T) tls.Certificate {
	t.Helper()
	der, key := issue(t, a.cert, a.key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func issue(t *testing.T, parent *x509.Certificate, signer *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if parent == nil {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

func TestTLS(t *testing.T) {
	ca := newAuthority(t)
	c := newCluster(t, kfake.SeedTopics(1, testTopic), kfake.TLS(&tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{ca.certificate(t)},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool,
	}))
	good := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: ca.pool, Certificates: []tls.Certificate{ca.certificate(t)}}
	produce(t, c, 0, numbered("x", 3), kgo.DialTLSConfig(good))
	h := start(t, testOptions(t, connect(t, c, func(o *KafkaOptions) { o.TLS = good })))
	h.untilRecords(3)
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	bad := map[string]struct {
		config *tls.Config
		want   string
	}{
		"without a client certificate": {&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: ca.pool}, "does not accept the client certificate, or asks for one"},
		"client certificate of another authority": {&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: ca.pool,
			Certificates: []tls.Certificate{newAuthority(t).certificate(t)}}, "does not accept the client certificate, or asks for one"},
		"of an unknown authority": {&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool(), Certificates: good.Certificates},
			"not signed by the authority"},
		"for another name": {&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: ca.pool, Certificates: good.Certificates, ServerName: "kafka.example"},
			"for another name"},
	}
	for name, test := range bad {
		t.Run(name, func(t *testing.T) {
			h := start(t, testOptions(t, connect(t, c, func(o *KafkaOptions) { o.TLS = test.config })))
			h.until("refused", func() bool { return h.Status().State == StateRefused })
			if s := h.Status().LastError; !strings.Contains(s, "TLS handshake") || !strings.Contains(s, test.want) {
				t.Errorf("last error %q", s)
			}
		})
	}
}

func TestAccessRules(t *testing.T) {
	allow := func(kind kmsg.ACLResourceType, name string, op kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: kind, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true}
	}
	read := allow(kmsg.ACLResourceTypeTopic, testTopic, kmsg.ACLOperationRead)
	describe := allow(kmsg.ACLResourceTypeTopic, testTopic, kmsg.ACLOperationDescribe)
	group := allow(kmsg.ACLResourceTypeGroup, testGroup, kmsg.ACLOperationRead)
	tests := map[string]struct {
		rules []kfake.ACL
		want  string // empty when it works
	}{
		"enough":               {[]kfake.ACL{read, group}, ""},
		"no access to group":   {[]kfake.ACL{read, describe}, `Read on group "` + testGroup + `"`},
		"topic cannot be read": {[]kfake.ACL{describe, group}, `Read on topic "` + testTopic + `"`},
		"topic is hidden":      {[]kfake.ACL{group}, testTopic},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.SeedTopics(1, testTopic),
				kfake.Superuser("PLAIN", "admin", "a"), kfake.User("PLAIN", "exporter", testPassword, test.rules...))
			produce(t, c, 0, numbered("x", 3), kgo.SASL(plain.Auth{User: "admin", Pass: "a"}.AsMechanism()))
			mechanism, err := SASLMechanism("PLAIN", "exporter", testPassword)
			if err != nil {
				t.Fatal(err)
			}
			h := start(t, testOptions(t, connect(t, c, func(o *KafkaOptions) { o.SASL = mechanism })))
			if test.want == "" {
				h.untilRecords(3)
				h.until("committed", func() bool { return h.partitionStatus(0).Committed == 3 })
				return
			}
			h.until("the rule is named", func() bool {
				s := h.Status()
				for _, p := range s.Partitions {
					if strings.Contains(p.Trouble, test.want) {
						return true
					}
				}
				return strings.Contains(s.LastError, test.want)
			})
		})
	}
}
