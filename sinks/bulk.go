package sinks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/elastic/go-elasticsearch/v8/esapi"
)

// bulkFilter asks for one small item per session. A narrower filter would return
// only the items that failed, without their positions.
var bulkFilter = []string{"errors", "items.*.status", "items.*.error"}

const (
	bulkPath    = "/_bulk"
	filterParam = "filter_path"
)

// bulkEndpoint completes the path and makes room for our filter_path; the rest of
// the query stays as it was written.
func bulkEndpoint(u *url.URL) {
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	if !strings.HasSuffix(u.Path, bulkPath) {
		u.Path += bulkPath
		if u.RawPath != "" {
			u.RawPath += bulkPath
		}
	}
	kept := slices.DeleteFunc(strings.Split(u.RawQuery, "&"), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		decoded, err := url.QueryUnescape(name)
		return pair == "" || (err == nil && decoded == filterParam)
	})
	u.RawQuery = strings.Join(kept, "&")
}

// bulkCall is the transport that esapi sends one request through. There is no
// product check, no retry and no discovery in it.
type bulkCall struct {
	sink     *Sink
	payload  *payload
	answered *http.Request // as it was sent, once it was answered
}

// scrub knows what the request carried.
func (c *bulkCall) scrub() *scrubber { return c.sink.scrub.sent(c.answered) }

// Perform implements esapi.Transport. esapi knows neither host nor prefix: what
// it made of the query joins the endpoint's own.
func (c *bulkCall) Perform(r *http.Request) (*http.Response, error) {
	endpoint := *c.sink.url
	endpoint.RawQuery = strings.TrimPrefix(endpoint.RawQuery+"&"+r.URL.RawQuery, "&")
	r.Method = c.sink.method
	r.URL = &endpoint
	r.Host = endpoint.Host
	r.ContentLength = c.payload.size
	r.GetBody = c.payload.reader
	resp, err := c.sink.roundTrip(r)
	if err == nil {
		c.answered = resp.Request
	}
	return resp, err
}

// attemptBulk sends one _bulk request and judges the whole answer. ctx is the
// caller's, attempt the one with the
// deadline, which stop ends early.
func (s *Sink) attemptBulk(ctx, attempt context.Context, stop func(), p *payload, headers http.Header, b Body) Verdict {
	body, _ := p.reader()
	call := &bulkCall{sink: s, payload: p}
	resp, err := esapi.BulkRequest{Body: body, Header: headers, FilterPath: bulkFilter}.Do(attempt, call)
	if err != nil {
		return s.failed(ctx, attempt, p, err)
	}
	defer func() { _ = resp.Body.Close() }()
	v := judgeStatus(resp.StatusCode, resp.Header.Get("Retry-After"), true, s.oauth, time.Now())
	a, ok := answerReaders.Get().(*answerReader)
	if !ok {
		a = new(answerReader)
	}
	defer answerReaders.Put(a)
	if v.Kind != Delivered {
		rest, done := s.limitAnswer(resp.Body, stop)
		defer done()
		answer, _ := a.read(rest, s.format.create)
		v.Excerpt = call.excerpt(a, answer, b)
		return v
	}
	answer, err := a.read(resp.Body, s.format.create)
	if errors.Is(err, errCutShort) && attempt.Err() == nil {
		return broken(resp.StatusCode, "cut_short", err)
	}
	if err == nil || errors.Is(err, errNotBulk) || errors.Is(err, errTooLong) {
		return call.judge(v, a, answer, err, b, resp.Header.Get("Retry-After"))
	}
	v = s.failed(ctx, attempt, p, err)
	if v.Kind != Interrupted {
		v.Status = resp.StatusCode
	}
	return v
}

// broken is an answer that began and did not end.
func broken(status int, reason string, err error) Verdict {
	return Verdict{
		Kind: Retryable, Status: status, Reason: reason, Poisonable: true,
		Err: &AttemptError{Reason: reason, text: err.Error()},
	}
}

// judge judges a 2xx by what its answer says of the items.
func (c *bulkCall) judge(v Verdict, a *answerReader, answer bulkAnswer, err error, b Body, retryHeader string) Verdict {
	if err == nil && (!answer.hasErrors || !answer.hasItems) {
		err = errNotBulk
	}
	if err == nil && answer.items != b.Sessions {
		err = errItemCount
	}
	if err != nil {
		v.Kind, v.Reason = Refused, "bulk_answer"
		text := fmt.Sprintf("endpoint answered %s: %v", statusText(v.Status), err)
		if errors.Is(err, errItemCount) {
			text = fmt.Sprintf("%s (%d of %d)", text, answer.items, b.Sessions)
		}
		v.Err = &AttemptError{Reason: v.Reason, text: text}
		v.Excerpt = c.excerpt(a, answer, b)
		return v
	}
	v.Conflicts = answer.conflicts
	if len(answer.failed) == 0 {
		return v
	}
	v.Kind, v.Reason, v.Items = Partial, "bulk_items", answer.failed
	scrub := c.scrub()
	for i := range v.Items {
		v.Items[i].Reason = scrub.text(v.Items[i].Reason)
		if v.Items[i].Kind == Throttled && v.RetryAfter == 0 {
			v.RetryAfter, _ = retryAfter(retryHeader, time.Now())
		}
	}
	v.Err = &AttemptError{Reason: v.Reason, text: summary(v.Items, b.Sessions)}
	return v
}

// summary counts the failed items by status and type. Their reasons may quote
// documents and stay away.
func summary(items []ItemVerdict, sessions int) string {
	const most = 4
	type cause struct {
		name  string
		count int
	}
	var causes []cause
	for _, item := range items {
		name := strings.TrimSpace(strconv.Itoa(item.Status) + " " + item.Type)
		at := slices.IndexFunc(causes, func(c cause) bool { return c.name == name })
		if at < 0 {
			causes = append(causes, cause{name: name})
			at = len(causes) - 1
		}
		causes[at].count++
	}
	slices.SortStableFunc(causes, func(a, b cause) int { return b.count - a.count })
	var text strings.Builder
	fmt.Fprintf(&text, "%d of %s not accepted: ", len(items), plural(sessions, "session"))
	for i, c := range causes {
		if i == most {
			text.WriteString(", …")
			break
		}
		if i > 0 {
			text.WriteString(", ")
		}
		fmt.Fprintf(&text, "%d × %s", c.count, c.name)
	}
	return text.String()
}

// Types of whole-request errors whose reason speaks of the cluster and its rights,
// never of a document. Not among them, although of the cluster as well: rejected
// executions and unavailable shards, which print the request with its sources.
var safeReasons = []string{
	"security_exception",
	"cluster_block_exception",
	"circuit_breaking_exception",
	"media_type_header_exception",
	"index_not_found_exception",
	"index_closed_exception",
	"validation_exception",
	"cluster_manager_not_discovered_exception",
	"master_not_discovered_exception",
}

// excerpt never quotes a document: of an error it shows the type, and the reason
// only when that type's reasons cannot quote one; of an answer with items nothing.
func (c *bulkCall) excerpt(a *answerReader, answer bulkAnswer, b Body) string {
	switch {
	case answer.hasItems:
		return ""
	case answer.errorType == "":
		return c.scrub().excerpt(a.head(), b.Bytes)
	case slices.Contains(safeReasons, answer.errorType):
		return c.scrub().excerpt([]byte(answer.errorType+": "+answer.errorReason), b.Bytes)
	default:
		return cutText(safeType([]byte(answer.errorType)), maxExcerpt)
	}
}
