//go:build services

package kafka_test

import (
	"testing"

	"sessionexport/services"
)

func TestMain(m *testing.M) { services.Main(m) }

// everyVersion runs a test against each version of Kafka that is to be tested.
func everyVersion(t *testing.T, test func(t *testing.T, version string)) {
	t.Helper()
	versions, err := services.Versions("kafka")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range versions {
		t.Run(version, func(t *testing.T) { test(t, version) })
	}
}

// everyShared runs a test against the shared node of each version, without the full matrix too, and beside other tests: what
// it waits for is mostly time.
func everyShared(t *testing.T, test func(t *testing.T, k *services.Kafka)) {
	t.Helper()
	t.Parallel()
	versions, err := services.AllVersions("kafka")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range versions {
		t.Run(version, func(t *testing.T) { test(t, services.SharedKafkaOf(t, version)) })
	}
}
