// Package services starts real services for the tests in its folders: Apache Kafka, Elasticsearch and others, on loopback
// ports, as an unprivileged user, ended with the test binary however that ends; and the program itself, built from
// this module, between them. It generates load, reads along with clients of its own and knows what had to arrive.
//
// Everything but this comment carries the build tag services; `make services-test` fetches the services and runs the
// tests, one folder after the other. A service that is not there fails the run.
package services
