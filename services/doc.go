// Package services tests the exporter against real services: Apache Kafka and Elasticsearch, started on loopback ports
// as an unprivileged user and ended with the tests.
//
// Everything but this comment carries the build tag services; `make services-test` fetches the services and runs the
// tests. A service that is not there fails the run.
package services
