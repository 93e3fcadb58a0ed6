package demo

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Defect is what is wrong with a whole Receiver for a while. Its zero value is
// a receiver that is well.
type Defect struct {
	// Answer decides what becomes of a body, in place of ReceiverOptions.Misbehave.
	Answer      func(Arrival) Misbehaviour
	Password    bool // the passwords that it knew are no longer accepted
	Tokens      bool // tokens are no longer valid, and no new ones are issued
	Certificate bool // connections end, and new ones are shown a certificate that has expired
}

// Break gives the receiver a defect in place of the one that it had. Requests
// that are under way keep what they began with.
func (r *Receiver) Break(d Defect) {
	r.defect.Store(&d)
	if d.Tokens {
		r.tokens.forget()
	}
}

// Mend makes the receiver well.
func (r *Receiver) Mend() { r.Break(Defect{}) }

// secure makes the authority and the certificates.
func (r *Receiver) secure() (*tls.Config, error) {
	now := time.Now()
	var err error
	if r.authority, err = newAuthority(now); err != nil {
		return nil, err
	}
	hosts := append([]string{"localhost", "127.0.0.1", "::1"}, r.options.Hosts...)
	cert, err := r.authority.issue(now, hosts...)
	if err != nil {
		return nil, err
	}
	old, err := r.authority.issue(now.Add(-authorityLife-time.Hour), hosts...)
	if err != nil {
		return nil, err
	}
	good := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	expired := &tls.Config{
		Certificates: []tls.Certificate{old}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		SessionTicketsDisabled: true, // a resumed session would not look at the certificate
	}
	good.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if r.defect.Load().Certificate {
			return expired, nil
		}
		return nil, nil //nolint:nilnil // which means: this very configuration
	}
	return good, nil
}

// ItemFaults are answers to single documents of _bulk bodies: of the
// generator's sessions each of so many. Sessions of other origin are spared.
type ItemFaults struct {
	RejectEvery int // does not fit the mapping, each time it comes; 0: none
	BusyEvery   int // finds the queue full, the first time it comes; 0: none

	mu    sync.Mutex
	heard Indexes // those that found the queue full
}

// refuse answers an item in the place of the index, and tells whether it did.
func (f *ItemFaults) refuse(index int, item *bulkItem) bool {
	if f == nil || index < 0 {
		return false
	}
	switch {
	case f.RejectEvery > 0 && index%f.RejectEvery == 0:
		item.status, item.failure = http.StatusBadRequest, "document_parsing_exception"
		item.reason = fmt.Sprintf("failed to parse field [startTime] of session %d: this receiver was told to answer so", index)
	case f.BusyEvery > 0 && index%f.BusyEvery == 0 && f.first(index):
		item.status, item.failure = http.StatusTooManyRequests, "es_rejected_execution_exception"
		item.reason = "the queue is full: this receiver was told to answer so"
	default:
		return false
	}
	return true
}

func (f *ItemFaults) first(index int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.heard.Add(index)
}
