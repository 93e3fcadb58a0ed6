package settings

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Summary writes a valid configuration for people, in a few lines: what is
// read, and where it goes. It shows no secret.
func (f *File) Summary(w io.Writer) {
	_, _ = fmt.Fprintf(w, "kafka %s, %s, groups %s.<sink>\n", strings.Join(f.Kafka.Brokers, ","), f.Kafka.security(), f.Kafka.GroupPrefix)
	_, _ = fmt.Fprintf(w, "dead letters in %s\n", f.DeadLetters.Topic)
	for i := range f.Environments {
		e := &f.Environments[i]
		_, _ = fmt.Fprintf(w, "environment %s, topic %s, %s\n", e.ID, e.Topic, count(len(e.Exports), "export"))
		for j := range e.Exports {
			x := &e.Exports[j]
			state := ""
			if !x.Enabled() {
				state = ", disabled"
			}
			scope := ""
			if x.Zone != nil {
				scope = ", zone " + x.Zone.Name
			}
			_, _ = fmt.Fprintf(w, "  %s: %s %s %s, %s, on failure %s%s%s\n", x.ID, x.Format(), x.Method(), x.EndpointDefinition.EndpointURL, x.Authentication.words(), x.Custom.OnFailure, scope, state)
		}
	}
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (k *Kafka) security() string {
	transport := "in the clear"
	if k.TLS.Enabled {
		transport = "TLS"
	}
	if k.SASL.Mechanism != "" {
		transport += " with " + k.SASL.Mechanism
	}
	return transport
}

func (a *Authentication) words() string {
	switch {
	case a.Basic():
		return "basic authentication"
	case a.OAuth():
		return "OAuth 2.0 from " + a.OAuth2.AccessTokenURL.String()
	default:
		return "no authentication"
	}
}

// soon is how long before its end a client certificate is warned of.
const soon = 30 * 24 * time.Hour

// Warnings names what is valid and still likely to be regretted. The caller
// passes the time, for certificates that are about to expire.
func (f *File) Warnings(now time.Time) []string {
	var all []string
	warn := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if f.Kafka.SASL.Mechanism == "PLAIN" && !f.Kafka.TLS.Enabled {
		warn("kafka.sasl: PLAIN without kafka.tls sends the password in the clear")
	}
	expiring := func(path string, m *Material) {
		if at, ok := m.expiry(); ok && at.Sub(now) < soon {
			warn("%s: the client certificate is valid until %s", path, at.UTC().Format(time.DateOnly))
		}
	}
	expiring("kafka.tls.certFile", f.Kafka.TLS.Material())
	for i := range f.Environments {
		for j := range f.Environments[i].Exports {
			e := &f.Environments[i].Exports[j]
			expiring("export "+e.ID+": certFile", e.Custom.Material())
			if e.Custom.OnFailure == FailDiscard {
				warn("export %s: onFailure=discard loses sessions whenever its endpoint fails", e.ID)
			}
			if u := e.EndpointDefinition.EndpointURL.Parsed(); !e.SendDirect.Active && u != nil && strings.HasSuffix(u.Path, "/_bulk") {
				warn("export %s: the URL ends in /_bulk, and sendDirect is not active: documents travel without action lines", e.ID)
			}
		}
		if len(f.Environments[i].Exports) == 0 {
			warn("environment %s has no exports", f.Environments[i].ID)
		}
	}
	return all
}
