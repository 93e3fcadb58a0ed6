// Package demo holds what the commands demo, generate and receive run: a
// Kafka broker inside the process, a generator of realistic sessions, an HTTPS
// receiver with its own authority and token server, the live view, and the
// summary that says whether anything is missing.
package demo
