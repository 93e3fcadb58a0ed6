package main

import (
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxBody = 20 << 20        // bytes: batches have 896,000 at most, but one large session travels alone
	maxSkew = 5 * time.Minute // between the sender's clock and ours
)

// receiver takes bodies of sessions, one JSON document a line.
type receiver struct {
	store          *store
	user, password string
	signingKey     []byte // nil: signatures are not asked for
	limit          int64  // bytes of a body before compression
	now            func() time.Time
}

// refusal is a status and what is wrong.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// ServeHTTP answers 200 when every session of the body is stored: not before,
// for what was answered with 200 is never sent again.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if err := r.receive(w, req); err != nil {
		refused := &refusal{http.StatusServiceUnavailable, "not stored"} // it is sent again
		errors.As(err, &refused)
		http.Error(w, refused.text, refused.status)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (r *receiver) receive(w http.ResponseWriter, req *http.Request) error {
	if req.Method != http.MethodPost && req.Method != http.MethodPut {
		return &refusal{http.StatusMethodNotAllowed, "POST or PUT"}
	}
	user, password, _ := req.BasicAuth()
	if !equal(user, r.user) || !equal(password, r.password) || r.password == "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="sessions"`)
		return &refusal{http.StatusUnauthorized, "who are you?"}
	}
	body, err := r.read(w, req)
	if err != nil {
		return err
	}
	if r.signingKey != nil && !r.signed(req.Header, body) {
		return &refusal{http.StatusUnauthorized, "the signature is missing, wrong or old"}
	}
	sessions, err := split(body)
	if err != nil {
		return err
	}
	return r.store.add(sessions)
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// read returns the body, unpacked.
func (r *receiver) read(w http.ResponseWriter, req *http.Request) ([]byte, error) {
	var in io.Reader = http.MaxBytesReader(w, req.Body, r.limit)
	if req.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return nil, &refusal{http.StatusBadRequest, "not gzip"}
		}
		in = unpacked
	}
	body, err := io.ReadAll(io.LimitReader(in, r.limit+1))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large), int64(len(body)) > r.limit:
		return nil, &refusal{http.StatusRequestEntityTooLarge, "too large"}
	case err != nil:
		return nil, &refusal{http.StatusBadRequest, "the body broke off"}
	}
	return body, nil
}

// signed checks the Standard Webhooks signature. It is made over the body as it
// is before compression.
func (r *receiver) signed(h http.Header, body []byte) bool {
	id, timestamp := h.Get("webhook-id"), h.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || r.now().Sub(time.Unix(seconds, 0)).Abs() > maxSkew {
		return false
	}
	mac := hmac.New(sha256.New, r.signingKey)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for given := range strings.FieldsSeq(h.Get("webhook-signature")) { // several, while a key is changed
		if equal(given, want) {
			return true
		}
	}
	return false
}

// parseSecret reads a secret as it stands in the sender's file.
func parseSecret(text string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.TrimSpace(text), "whsec_"))
}

// document is one session and what names it.
type document struct {
	id   string
	line []byte
}

// split parts a body at its newlines.
func split(body []byte) ([]document, error) {
	var sessions []document
	for line := range bytes.SplitSeq(body, []byte("\n")) {
		if len(line) == 0 {
			continue // after the last newline
		}
		id, err := identify(line)
		if err != nil {
			return nil, &refusal{http.StatusBadRequest, "a line is not a session"}
		}
		sessions = append(sessions, document{id: id, line: line})
	}
	return sessions, nil
}

// identify names a session as Elasticsearch's _id does.
func identify(line []byte) (string, error) {
	var s struct {
		TenantID      string      `json:"tenantId"`
		UserSessionID string      `json:"userSessionId"`
		StartTime     json.Number `json:"startTime"`
	}
	if err := json.Unmarshal(line, &s); err != nil {
		return "", err
	}
	return s.TenantID + "-" + s.UserSessionID + "-" + s.StartTime.String(), nil
}
