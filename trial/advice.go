package trial

import (
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"sessionexport/auth"
	"sessionexport/settings"
	"sessionexport/sinks"
)

// Advice is the likely cause of a failure, and what to do about it.
type Advice struct {
	ID     string `json:"id"` // stable, snake_case; docs/test-export.md lists them
	Cause  string `json:"cause"`
	Remedy string `json:"remedy"`
}

// row is one line of the tables of advice. Of a table the first row that
// applies is given. {words} in its texts are facts of the situation.
type row struct {
	id            string
	when          func(s *situation) bool
	cause, remedy string
}

// situation is what is known about a request that failed.
type situation struct {
	export  *settings.Export
	verdict sinks.Verdict
	now     time.Time

	token    *auth.TokenError // why there was no token; nil otherwise
	err      error            // of the request that failed, as its transport gave it; nil with an answer
	phase    phase            // that this request reached
	header   http.Header      // of the endpoint's answer
	body     int              // bytes
	sessions int

	item Item   // one cause of _bulk items; empty for the request as a whole
	said string // the reason of the first such item
}

// adviceOn returns the advice on a request that failed, in the order of the
// tables: the request as a whole, then each cause of its items.
func adviceOn(s situation) []Advice {
	switch {
	case s.verdict.Kind == sinks.Delivered:
		return nil
	case s.verdict.Kind == sinks.Partial:
		return s.onItems()
	case s.token != nil && s.token.Status != 0:
		return []Advice{s.first(tokenRows)}
	case s.verdict.Status != 0:
		return []Advice{s.first(statusRows)}
	default:
		return []Advice{s.first(networkRows)}
	}
}

func (s *situation) onItems() []Advice {
	var all []Advice
	seen := map[string]bool{}
	for _, it := range itemsOf(s.verdict.Items) {
		s.item = it
		for _, v := range s.verdict.Items {
			if v.Status == it.Status && v.Type == it.Type {
				s.said = v.Reason
				break
			}
		}
		if a := s.first(itemRows); !seen[a.ID] {
			seen[a.ID] = true
			all = append(all, a)
		}
	}
	return all
}

// first returns the advice of the first row that applies. Each table ends in a
// row that always does.
func (s *situation) first(rows []row) Advice {
	for _, r := range rows {
		if r.when(s) {
			facts := s.facts()
			return Advice{ID: r.id, Cause: facts.Replace(r.cause), Remedy: facts.Replace(r.remedy)}
		}
	}
	return Advice{}
}

// facts are what the texts of the tables may name. None of them is a secret.
func (s *situation) facts() *strings.Replacer {
	e := s.export
	endpoint := e.EndpointDefinition.EndpointURL
	u, server, key := endpoint.Parsed(), "the endpoint", "endpointUrl"
	if s.token != nil {
		u, server, key = e.Authentication.OAuth2.AccessTokenURL.Parsed(), "the token server", "accessTokenUrl"
		endpoint = e.Authentication.OAuth2.AccessTokenURL
	}
	host, port := "", "443"
	if u != nil {
		host = u.Hostname()
		if u.Port() != "" {
			port = u.Port()
		}
	}
	certificate := "another host"
	expires := ""
	if c := refused(s.err); c != nil {
		if n := names(c); len(n) > 0 {
			certificate = strings.Join(n[:min(len(n), 5)], ", ")
		}
		expires = c.NotAfter.UTC().Format(time.RFC3339)
		if s.now.Before(c.NotBefore) {
			expires = c.NotBefore.UTC().Format(time.RFC3339)
		}
	}
	docType := e.SendDirect.DocType
	if docType == "" {
		docType = "the one in the path of endpointUrl"
	}
	field := "a field"
	if s.item.Field != "" {
		field = "the field " + s.item.Field
	}
	return strings.NewReplacer(
		"{server}", server, "{key}", key, "{host}", host, "{port}", port, "{url}", endpoint.String(),
		"{names}", certificate, "{expires}", expires,
		"{status}", statusText(max(s.verdict.Status, s.tokenStatus())),
		"{location}", s.location(), "{method}", e.Method(), "{allow}", s.allowed(),
		"{type}", e.EndpointDefinition.ContentType, "{index}", e.SendDirect.IndexName, "{doctype}", docType,
		"{bytes}", strconv.Itoa(s.body), "{sessions}", strconv.Itoa(s.sessions), "{maxBytes}", strconv.Itoa(e.Custom.MaxBytes),
		"{timeout}", e.Custom.RequestTimeout.String(), "{wait}", s.verdict.RetryAfter.String(),
		"{field}", field, "{error}", s.item.Type,
	)
}

func (s *situation) tokenStatus() int {
	if s.token == nil {
		return 0
	}
	return s.token.Status
}

// location is where a redirect points to, without what may be secret in it.
func (s *situation) location() string {
	to := "another address"
	r := http.Response{Header: s.header}
	if u, err := r.Location(); err == nil && s.header != nil {
		shown := *u
		shown.RawQuery, shown.Fragment = "", ""
		to = printable(settings.RedactURL(&shown))
	}
	for _, secret := range s.export.Secrets() {
		to = strings.ReplaceAll(to, secret.Reveal(), settings.Mask)
	}
	return to
}

// allowed is what the answer's Allow header names.
func (s *situation) allowed() string {
	allow := printable(s.header.Get("Allow"))
	const longest = 100 // bytes; nobody allows more
	if allow == "" || len(allow) > longest {
		return ""
	}
	return " (it allows " + allow + ")"
}

// fields of the messages of a mapping: names, never values.
var fieldNames = []*regexp.Regexp{
	regexp.MustCompile(`failed to parse field \[([^\]\s]{1,200})\]`),
	regexp.MustCompile(`object mapping for \[([^\]\s]{1,200})\]`),
	regexp.MustCompile(`immense term in field="([^"\s]{1,200})"`),
	regexp.MustCompile(`dynamic introduction of \[([^\]\s]{1,200})\]`),
}

// fieldOf is the field that the reason of an item names, or nothing. Reasons
// may quote a document, so nothing else is taken from them.
func fieldOf(reason string) string {
	for _, known := range fieldNames {
		if m := known.FindStringSubmatch(reason); m != nil {
			return printable(m[1])
		}
	}
	return ""
}

func always(*situation) bool { return true }

// status applies to answers with one of these statuses.
func status(of ...int) func(*situation) bool {
	return func(s *situation) bool {
		for _, known := range of {
			if s.verdict.Status == known {
				return true
			}
		}
		return false
	}
}

// both applies when all of its conditions do.
func both(all ...func(*situation) bool) func(*situation) bool {
	return func(s *situation) bool {
		for _, when := range all {
			if !when(s) {
				return false
			}
		}
		return true
	}
}

// is applies when an error of this type lies in the chain.
func is[T error](more func(T) bool) func(*situation) bool {
	return func(s *situation) bool {
		var found T
		return errors.As(s.err, &found) && (more == nil || more(found))
	}
}
