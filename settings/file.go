// Package settings is the typed and validated configuration: the file, the
// environment variables that override it, and the value of one export, which
// reads and validates alike wherever it comes from.
package settings

import (
	"net/netip"
	"time"
)

// File is a valid configuration, with its defaults filled in and its secrets
// and certificates loaded.
type File struct {
	Version      int           `key:"version"`
	SecretsDir   string        `key:"secretsDir"` // absolute once loaded
	Kafka        Kafka         `key:"kafka"`
	DeadLetters  DeadLetters   `key:"deadLetters"`
	Environments []Environment `key:"environments"`
	Alerts       Alerts        `key:"alerts"`
	Server       Server        `key:"server"`
	Shutdown     Shutdown      `key:"shutdown"`
	Log          Log           `key:"log"`
	Egress       Egress        `key:"egress"`

	folder string // of the file
}

// Kafka is the connection to the cluster that all environments share.
type Kafka struct {
	Brokers     []string `key:"brokers"`
	GroupPrefix string   `key:"groupPrefix"`
	ClientID    string   `key:"clientId"`
	InstanceID  string   `key:"instanceId"` // "" = dynamic membership
	FetchBytes  int64    `key:"fetchBytes"` // budget of the process
	TLS         TLS      `key:"tls"`
	SASL        SASL     `key:"sasl"`
}

// Group is the consumer group of a sink.
func (k Kafka) Group(sinkID string) string { return k.GroupPrefix + "." + sinkID }

// TLS is how the connection to Kafka is encrypted.
type TLS struct {
	Enabled  bool   `key:"enabled"`
	CAFile   string `key:"caFile"`
	CertFile string `key:"certFile"`
	KeyFile  string `key:"keyFile"`

	material *Material
}

// Material is what the files of TLS hold; never nil.
func (t TLS) Material() *Material { return orEmpty(t.material) }

// SASL is how the service makes itself known to Kafka.
type SASL struct {
	Mechanism string `key:"mechanism"` // "" = none, PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
	Username  string `key:"username"`
	Password  Secret `key:"password"`
}

// DeadLetters is where given-up sessions go.
type DeadLetters struct {
	Topic string `key:"topic"`
}

// Environment is one topic and the exports that read it.
type Environment struct {
	ID              string   `key:"id"`
	Topic           string   `key:"topic"`
	ManagementZones []Zone   `key:"managementZones"`
	Exports         []Export `key:"exports"`
}

// Zone returns the management zone with the id.
func (e *Environment) Zone(id string) (Zone, bool) {
	for _, z := range e.ManagementZones {
		if z.ID == id {
			return z, true
		}
	}
	return Zone{}, false
}

// Zone is a management zone: a named set of applications.
type Zone struct {
	ID           string   `key:"id"`
	Name         string   `key:"name"`         // the id when none is given
	Applications []string `key:"applications"` // names or ids; * stands for any characters
}

// Alerts is who is told about failures.
type Alerts struct {
	Shoutrrr     []Secret `key:"shoutrrr"` // service URLs: they carry their credentials
	Alertmanager []URL    `key:"alertmanager"`
}

// Server is the listener for the operator.
type Server struct {
	Address      string `key:"address"`
	PprofAddress string `key:"pprofAddress"` // "" = off; loopback only
}

// Shutdown bounds the end.
type Shutdown struct {
	Grace time.Duration `key:"grace"`
}

// Log is what is logged, and how.
type Log struct {
	Level  string `key:"level"`  // debug, info, warn, error
	Format string `key:"format"` // json, text
}

// Egress limits the addresses that anything outgoing may reach.
type Egress struct {
	Allow []netip.Prefix `key:"allow"` // empty = all that are not denied
	Deny  []netip.Prefix `key:"deny"`
}
