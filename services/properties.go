//go:build services

package services

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// properties is what every node is configured with.
func (n *Node) properties(controllers []int) map[string]string {
	var voters []string
	for i, port := range controllers {
		voters = append(voters, fmt.Sprintf("%d@%s", i+1, Loopback(port)))
	}
	replicas := strconv.Itoa(len(controllers))
	inSync := strconv.Itoa(max(1, len(controllers)-1))
	controller := Loopback(controllers[n.ID-1])
	return map[string]string{
		"process.roles":                            "broker,controller",
		"node.id":                                  strconv.Itoa(int(n.ID)),
		"controller.quorum.voters":                 strings.Join(voters, ","),
		"controller.listener.names":                "CONTROLLER",
		"listeners":                                "PLAINTEXT://" + n.address + ",CONTROLLER://" + controller,
		"advertised.listeners":                     "PLAINTEXT://" + n.address,
		"listener.security.protocol.map":           "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"inter.broker.listener.name":               "PLAINTEXT",
		"log.dirs":                                 filepath.Join(n.dir, "data"),
		"auto.create.topics.enable":                "false",
		"default.replication.factor":               replicas,
		"min.insync.replicas":                      inSync,
		"offsets.topic.num.partitions":             replicas,
		"offsets.topic.replication.factor":         replicas,
		"transaction.state.log.num.partitions":     "1",
		"transaction.state.log.replication.factor": replicas,
		"transaction.state.log.min.isr":            inSync,
		// Small and quick: a cluster of three shares two processors with the tests, and a killed node is to be noticed
		// within seconds.
		"num.network.threads":              "2",
		"num.io.threads":                   "4",
		"broker.session.timeout.ms":        "3000",
		"broker.heartbeat.interval.ms":     "500",
		"group.initial.rebalance.delay.ms": "0",
		"group.min.session.timeout.ms":     "1000",
		"log.cleaner.dedupe.buffer.size":   "8388608", // bytes; the default wants 128 MB of heap
		"log.cleaner.backoff.ms":           "500",
		"log.initial.task.delay.ms":        "1000",
		"log.retention.check.interval.ms":  "1000",
	}
}

// security adds two listeners to what a node has, both with certificates of the Authority.
func (n *Node) security(without map[string]string) map[string]string {
	const module = "org.apache.kafka.common.security."
	more := ",SASL://" + n.sasl + ",MUTUAL://" + n.mutual
	return map[string]string{
		"listeners":                            without["listeners"] + more,
		"advertised.listeners":                 without["advertised.listeners"] + more,
		"listener.security.protocol.map":       without["listener.security.protocol.map"] + ",SASL:SASL_SSL,MUTUAL:SSL",
		"ssl.keystore.type":                    "PEM",
		"ssl.keystore.location":                "broker.pem",
		"ssl.truststore.type":                  "PEM",
		"ssl.truststore.location":              "ca.pem",
		"listener.name.mutual.ssl.client.auth": "required",
		"sasl.enabled.mechanisms":              "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN",
		"listener.name.sasl.plain.sasl.jaas.config": module + `plain.PlainLoginModule required user_` +
			PlainUser + `="` + PlainPassword + `";`,
		"listener.name.sasl.scram-sha-256.sasl.jaas.config": module + "scram.ScramLoginModule required;",
		"listener.name.sasl.scram-sha-512.sasl.jaas.config": module + "scram.ScramLoginModule required;",
		"authorizer.class.name":                             "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users":                                       "User:ANONYMOUS", // whoever comes in through the listener without security
	}
}

// proxied adds a listener that is known by the address of a proxy in front of it.
func proxied(without map[string]string, listener, proxy string) map[string]string {
	return map[string]string{
		"listeners":                      without["listeners"] + ",PROXIED://" + listener,
		"advertised.listeners":           without["advertised.listeners"] + ",PROXIED://" + proxy,
		"listener.security.protocol.map": without["listener.security.protocol.map"] + ",PROXIED:PLAINTEXT",
	}
}

// PlainUser is the one user who signs in by PLAIN, with PlainPassword; those of SCRAM are made on the running node.
const (
	PlainUser     = "alice"
	PlainPassword = "alice-secret"
)

// write puts a node's files into its folder.
func (n *Node) write(properties map[string]string, authority *Authority) error {
	var lines strings.Builder
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		fmt.Fprintf(&lines, "%s=%s\n", key, properties[key])
	}
	files := map[string][]byte{
		"server.properties": []byte(lines.String()),
		"log4j2.properties": []byte(kafkaLogging),
		"log4j.properties":  []byte(kafka3Logging),
	}
	if authority != nil {
		_, broker, err := authority.Issue("broker")
		if err != nil {
			return err
		}
		files["broker.pem"], files["ca.pem"] = broker, authority.PEM
	}
	if err := os.Mkdir(n.dir, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(n.dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return GiveAway(n.dir)
}

// kafkaLogging sends the broker's log to where Launch reads it.
const kafkaLogging = `appender.o.type=Console
appender.o.name=O
appender.o.target=SYSTEM_ERR
appender.o.layout.type=PatternLayout
appender.o.layout.pattern=%d{HH:mm:ss.SSS} %p %c{1} %m%n
rootLogger.level=info
rootLogger.appenderRef.o.ref=O
`

// kafka3Logging does the same for Kafka 3, which logs with an older library.
const kafka3Logging = `log4j.rootLogger=INFO, O
log4j.appender.O=org.apache.log4j.ConsoleAppender
log4j.appender.O.target=System.err
log4j.appender.O.layout=org.apache.log4j.PatternLayout
log4j.appender.O.layout.ConversionPattern=%d{HH:mm:ss.SSS} %p %c{1} %m%n
`
