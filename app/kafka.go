package app

import (
	"crypto/tls"
	"fmt"
	"log/slog"

	"sessionexport/consumer"
	"sessionexport/settings"
)

// connect prepares the use of the cluster that the configuration names. It does
// no I/O.
func connect(file *settings.File, log *slog.Logger) (*consumer.Kafka, error) {
	o := consumer.KafkaOptions{
		Brokers: file.Kafka.Brokers, ClientID: file.Kafka.ClientID, Logger: log, FetchBudget: file.Kafka.FetchBytes,
	}
	if t := file.Kafka.TLS; t.Enabled {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: t.Material().RootCAs(), Certificates: t.Material().Certificates()}
	}
	if sasl := file.Kafka.SASL; sasl.Mechanism != "" {
		var err error
		if o.SASL, err = consumer.SASLMechanism(sasl.Mechanism, sasl.Username, sasl.Password.Reveal()); err != nil {
			return nil, fmt.Errorf("preparing SASL: %w", err)
		}
	}
	return consumer.Connect(o), nil
}
