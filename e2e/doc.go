// Package e2e tests the whole way of a session: records in an embedded Kafka,
// the service between, real HTTPS endpoints at the other end. It has tests
// alone.
package e2e
