package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// DefaultRemember is how many sessions Receive remembers, to know them when
// they come again: about 75 MB.
const DefaultRemember = 1_000_000

// ReceiveOptions say how Receive listens, whom it lets in, and how badly it
// behaves.
type ReceiveOptions struct {
	Address   string        // to listen on, host:port
	Hosts     []string      // more names for the certificate
	CAOut     string        // file for the authority's certificate in PEM; "": it is printed
	Basic     *Credentials  // the user and the password asked for
	OAuth     *Credentials  // the client whose tokens are asked for; not with Basic
	TokenLife time.Duration // 0: the Receiver's default
	MaxBody   int64         // bytes before compression; 0: the Receiver's default
	Remember  int           // sessions; 0: DefaultRemember
	Headers   bool          // print those of each request as well, credentials apart
	Faults    Faults
	Output    io.Writer
}

// Receive runs a receiver that takes sessions on every path, in every format,
// and prints a line for each request, until ctx is done; then the totals.
func Receive(ctx context.Context, o ReceiveOptions) error {
	if o.Remember == 0 {
		o.Remember = DefaultRemember
	}
	journal := &journal{out: o.Output}
	ro := ReceiverOptions{
		Address: o.Address, Hosts: o.Hosts, TokenLife: o.TokenLife, MaxBody: o.MaxBody, Remember: o.Remember,
		Endpoints: []Endpoint{{Path: "/", Format: FormatAny, Basic: o.Basic, OAuth: o.OAuth}},
		Received: func(r Receipt) {
			text := r.line()
			if o.Headers {
				text += r.headers()
			}
			journal.print(text)
		},
		Problem: func(text string) { journal.print(time.Now().Format(timeOfDay) + " " + explained(text)) },
	}
	if o.Faults.any() {
		ro.Misbehave = o.Faults.spread()
	}
	receiver, err := StartReceiver(ro)
	if err != nil {
		return fmt.Errorf("starting the receiver: %w", err)
	}
	err = o.introduce(journal, receiver)
	if err == nil {
		<-ctx.Done()
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err = errors.Join(err, receiver.Close(patience))
	journal.print(totals(receiver.Tally("/"), receiver.TokensIssued(), o.Remember))
	return errors.Join(err, journal.err)
}

// introduce tells how to reach the receiver.
func (o ReceiveOptions) introduce(j *journal, r *Receiver) error {
	lines := []string{"listening on " + r.URL() + ", any path; one that ends in /_bulk answers as Elasticsearch does"}
	switch {
	case o.Basic != nil:
		lines = append(lines, "asks for the user "+printable(o.Basic.User)+" (Basic authentication)")
	case o.OAuth != nil:
		lines = append(lines, fmt.Sprintf("asks for a token of the client %s; %s%s issues them, for %v", printable(o.OAuth.User), r.URL(), TokenPath, r.options.TokenLife))
	}
	if text := o.Faults.describe(); text != "" {
		lines = append(lines, text)
	}
	if o.CAOut == "" {
		lines = append(lines, "the certificate to trust, for caFile:", strings.TrimSuffix(string(r.CA()), "\n"))
	} else {
		if err := os.WriteFile(o.CAOut, r.CA(), 0o644); err != nil {
			return fmt.Errorf("writing the certificate to trust: %w", err)
		}
		lines = append(lines, "the certificate to trust, for caFile, is in "+o.CAOut)
	}
	j.print(strings.Join(lines, "\n"))
	return nil
}

// journal prints lines of several goroutines.
type journal struct {
	mu  sync.Mutex
	out io.Writer
	err error // the first one
}

func (j *journal) print(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := fmt.Fprintln(j.out, line); err != nil && j.err == nil {
		j.err = fmt.Errorf("printing: %w", err)
	}
}

// explained adds the usual cause to what net/http says of a connection.
func explained(problem string) string {
	problem = printable(problem)
	switch {
	case strings.Contains(problem, "does not look like a TLS handshake"), strings.Contains(problem, "HTTP request to an HTTPS server"):
		return problem + " (the client speaks plain HTTP: use https)"
	case strings.Contains(problem, "TLS handshake error"):
		return problem + " (usually a client that does not trust the certificate)"
	}
	return problem
}

// timeOfDay is how times are printed.
const timeOfDay = "15:04:05.000"

// line is the receipt for people.
func (r Receipt) line() string {
	var b strings.Builder
	status := "cut"
	if r.Status > 0 {
		status = strconv.Itoa(r.Status)
	}
	fmt.Fprintf(&b, "%s %s %s %s %s", r.Time.Format(timeOfDay), status, printable(r.Method), printable(r.Path), r.Format)
	if r.Status > 0 && r.Reason != "" {
		fmt.Fprintf(&b, "  %s bytes  %s", grouped(r.Bytes), printable(r.Reason))
	} else {
		fmt.Fprintf(&b, "  %s sessions  %s bytes", grouped(r.Sessions), grouped(r.Bytes))
		if r.First != "" {
			b.WriteString("  first " + printable(r.First))
		}
	}
	if r.Duplicates > 0 {
		fmt.Fprintf(&b, "  duplicates %s", grouped(r.Duplicates))
	}
	if r.Test {
		b.WriteString("  test")
	}
	return b.String()
}

// headers lists the request's headers, one a line, in order.
func (r Receipt) headers() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		for _, value := range r.Headers[name] {
			fmt.Fprintf(&b, "\n    %s: %s", printable(name), printable(value))
		}
	}
	return b.String()
}

// totals is what came, all in all.
func totals(t Tally, tokens, remember int) string {
	var statuses []int
	answered := 0
	for status, n := range t.Statuses {
		statuses = append(statuses, status)
		answered += n
	}
	slices.Sort(statuses)
	parts := []string{grouped(t.Requests) + " requests"}
	for _, status := range statuses {
		parts = append(parts, fmt.Sprintf("%s answered %d", grouped(t.Statuses[status]), status))
	}
	if cut := t.Requests - answered; cut > 0 {
		parts = append(parts, grouped(cut)+" cut")
	}
	if tokens > 0 {
		parts = append(parts, grouped(tokens)+" tokens issued")
	}
	within := ""
	if t.Distinct > remember {
		within = fmt.Sprintf(" (of the last %s)", grouped(remember))
	}
	return fmt.Sprintf("%s\n%s bodies taken: %s sessions, %s different, %s duplicates%s; %d bytes, largest body %s, most sessions in one %s",
		strings.Join(parts, ", "), grouped(t.Bodies), grouped(t.Sessions), grouped(t.Distinct), grouped(t.Duplicates), within,
		t.Bytes, grouped(t.LargestBody), grouped(t.MostSessions))
}
