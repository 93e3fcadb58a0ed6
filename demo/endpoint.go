package demo

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

// endpoint serves one path: who is it, what did they send, is it whole, and
// only then does it count.
type endpoint struct {
	Endpoint
	receiver *Receiver
	*account
}

// account is what has arrived on one path.
type account struct {
	mu     sync.Mutex
	counts Tally
	ledger *ledger
}

func newEndpoint(e Endpoint, r *Receiver) *endpoint {
	return &endpoint{Endpoint: e, receiver: r, account: &account{
		counts: Tally{Statuses: map[int]int{}}, ledger: newLedger(r.options.Generator, r.options.Remember),
	}}
}

func (a *account) tally() Tally {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.counts.clone(a.ledger)
}

// refusedError is why a request was not taken.
type refusedError struct {
	status int
	kind   string // as Elasticsearch names it
	reason string
}

func (p *refusedError) Error() string { return p.reason }

// ServeHTTP takes one body.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	headers := withoutCredentials(r.Header)
	e.arrived(r, headers)
	scratch, _ := buffers.Get().(*buffer) // the pool holds nothing else.
	defer buffers.Put(scratch)
	scratch.receipt = newReceipt(r, e.Format, headers)
	if tell := e.receiver.options.Received; tell != nil {
		defer func() { tell(scratch.receipt) }() // of a connection that is cut, too
	}
	if err := e.serve(w, r, scratch); err != nil {
		e.refuse(w, err, &scratch.receipt)
	}
}

func (e *endpoint) arrived(r *http.Request, headers http.Header) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counts.Requests++
	e.counts.Headers = headers
	e.counts.Protocol = r.Proto
}

// withoutCredentials is what may be shown of headers.
func withoutCredentials(h http.Header) http.Header {
	h = h.Clone()
	if h.Get("Authorization") != "" {
		scheme, _, _ := strings.Cut(h.Get("Authorization"), " ")
		h.Set("Authorization", scheme+" ***")
	}
	return h
}

func (e *endpoint) answered(status int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counts.Statuses[status]++
}

func (e *endpoint) serve(w http.ResponseWriter, r *http.Request, scratch *buffer) error {
	if e.receiver.defect.Load().Certificate { // old connections end, and nothing gets through any more
		w.Header().Set("Connection", "close")
		return &refusedError{http.StatusServiceUnavailable, "unavailable_exception", "this receiver is stopping"}
	}
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		w.Header().Set("Allow", "POST, PUT")
		return &refusedError{http.StatusMethodNotAllowed, "method_not_allowed", "only POST and PUT are allowed"}
	}
	if err := e.authorise(w, r); err != nil {
		return err
	}
	if err := e.checkType(r); err != nil {
		return err
	}
	body, err := scratch.read(w, r, e.receiver.options.MaxBody)
	if err != nil {
		return err
	}
	scratch.receipt.Bytes = len(body)
	bad, err := e.misbehave(w, r, len(body))
	if err != nil {
		return err
	}
	if e.Format == FormatElasticsearch {
		err = e.bulk(w, r, body, scratch, bad)
	} else {
		err = e.webhook(w, body, scratch, bad.Lost)
	}
	return err
}

func (e *endpoint) authorise(w http.ResponseWriter, r *http.Request) error {
	switch {
	case e.Basic != nil:
		user, password, ok := r.BasicAuth()
		if !ok || !e.Basic.equal(Credentials{user, password}) || e.receiver.defect.Load().Password {
			w.Header().Set("WWW-Authenticate", `Basic realm="session-export"`)
			return &refusedError{http.StatusUnauthorized, "security_exception", "wrong user or password"}
		}
	case e.OAuth != nil:
		if !e.receiver.tokens.holds(r, e.OAuth.User) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="session-export", error="invalid_token"`)
			return &refusedError{http.StatusUnauthorized, "security_exception", "no token, or one that has ended"}
		}
	}
	return nil
}

func (e *endpoint) checkType(r *http.Request) error {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	types := []string{"application/json"}
	switch e.Format {
	case FormatNDJSON:
		types = []string{"application/x-ndjson"}
	case FormatElasticsearch:
		types = []string{"application/x-ndjson", "application/json", "application/vnd.elasticsearch+x-ndjson", "application/vnd.elasticsearch+json"}
	}
	if err != nil || !slices.Contains(types, media) {
		return &refusedError{http.StatusUnsupportedMediaType, "media_type_header_exception", "Content-Type is not " + strings.Join(types, " or ")}
	}
	return nil
}

func (e *endpoint) misbehave(w http.ResponseWriter, r *http.Request, size int) (Misbehaviour, error) {
	decide := e.receiver.options.Misbehave
	if answer := e.receiver.defect.Load().Answer; answer != nil {
		decide = answer
	}
	if decide == nil {
		return Misbehaviour{}, nil
	}
	m := decide(Arrival{Path: r.URL.Path, Bytes: size})
	if m.Delay > 0 {
		timer := time.NewTimer(m.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		}
	}
	if m.Reset {
		panic(http.ErrAbortHandler)
	}
	if m.Status == 0 {
		return m, nil
	}
	if m.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(m.RetryAfter.Round(time.Second)/time.Second)))
	}
	return m, &refusedError{m.Status, "demo_exception", "this receiver was told to answer so"}
}

// webhook takes lines, or an array, of documents. Either all count or none.
func (e *endpoint) webhook(w http.ResponseWriter, body []byte, scratch *buffer, lost bool) error {
	ids, err := e.documents(scratch.ids[:0], body)
	scratch.ids = ids
	if err != nil {
		return err
	}
	e.accept(scratch, len(body), len(ids), nil)
	if lost {
		e.unacknowledged(len(ids))
		panic(http.ErrAbortHandler)
	}
	e.answered(http.StatusOK)
	scratch.receipt.Status = http.StatusOK
	w.WriteHeader(http.StatusOK)
	return nil
}

// accept counts a body of n documents and the sessions among them. Seen, if
// not nil, is told which of the sessions were there already.
func (e *endpoint) accept(scratch *buffer, size, n int, seen []bool) {
	ids := scratch.ids
	e.mu.Lock()
	defer e.mu.Unlock()
	scratch.receipt.enter(ids, e.ledger.generator)
	e.counts.Bodies++
	e.counts.Bytes += int64(size)
	e.counts.Sessions += len(ids)
	e.counts.LargestBody = max(e.counts.LargestBody, size)
	e.counts.MostSessions = max(e.counts.MostSessions, n)
	for k, id := range ids {
		fresh := e.ledger.enter(id)
		if !fresh {
			e.counts.Duplicates++
			scratch.receipt.Duplicates++
		}
		if seen != nil {
			seen[k] = !fresh
		}
	}
}

// unacknowledged counts sessions that were taken without an answer.
func (a *account) unacknowledged(sessions int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts.Unacknowledged += sessions
}

// refuse answers as this kind of endpoint does: Elasticsearch with an error
// document, a webhook with a line of text.
func (e *endpoint) refuse(w http.ResponseWriter, err error, receipt *Receipt) {
	p := &refusedError{http.StatusBadRequest, "illegal_argument_exception", err.Error()}
	errors.As(err, &p)
	e.answered(p.status)
	receipt.Status, receipt.Reason = p.status, p.reason
	if e.Format != FormatElasticsearch {
		http.Error(w, p.reason, p.status)
		return
	}
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(p.status)
	_, _ = w.Write(bulkError(p)) // the client is gone: nothing to tell anybody.
}

// buffer is the memory of one request.
type buffer struct {
	wire, body []byte
	answer     []byte
	ids        []identity
	items      []bulkItem
	seen       []bool
	gzip       gzip.Reader
	receipt    Receipt
}

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// read returns the whole body as it was before compression.
func (b *buffer) read(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	var err error
	if b.wire, err = readAll(b.wire[:0], http.MaxBytesReader(w, r.Body, limit)); err != nil {
		return nil, bodyProblem(err)
	}
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return b.wire, nil
	case "gzip":
		if err := b.gzip.Reset(bytes.NewReader(b.wire)); err != nil {
			return nil, bodyProblem(err)
		}
		if b.body, err = readAll(b.body[:0], io.LimitReader(&b.gzip, limit+1)); err != nil {
			return nil, bodyProblem(err)
		}
		if int64(len(b.body)) > limit {
			return nil, bodyProblem(&http.MaxBytesError{Limit: limit})
		}
		return b.body, nil
	default:
		return nil, &refusedError{http.StatusUnsupportedMediaType, "illegal_argument_exception", "Content-Encoding is neither gzip nor absent"}
	}
}

func bodyProblem(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return &refusedError{http.StatusRequestEntityTooLarge, "content_too_long_exception", "the body exceeds " + strconv.FormatInt(large.Limit, 10) + " bytes"}
	}
	return &refusedError{http.StatusBadRequest, "parse_exception", "reading the body: " + err.Error()}
}

// readAll is io.ReadAll into memory that is used again.
func readAll(dst []byte, r io.Reader) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if errors.Is(err, io.EOF) {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}
