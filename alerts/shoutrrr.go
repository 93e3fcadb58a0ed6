package alerts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"sessionexport/egress"
	"sessionexport/settings"
)

// services are those whose requests take net/http's default transport, in
// whose place the house's own stands, and mail. Left out are the ones that
// bring a transport of their own, past proxies and egress rules (gotify,
// mattermost, ntfy; `generic` reaches them), `matrix`, which logs in when its URL
// is read, and `logger`, since the log is told in any case.
var services = []string{
	"bark", "discord", "generic", "googlechat", "hangouts", "ifttt", "join", "lark", "notifiarr", "opsgenie",
	"pagerduty", "pushbullet", "pushover", "rocketchat", "signal", "slack", mail, "teams", "telegram", "wecom", "zulip",
}

const mail = "smtp"

// maxStuck is how many sends of one service may hang. Mail has no timeout once
// it is connected; one more that hangs is not begun.
const maxStuck = 4

// ServiceError says why a service's URL cannot be used, and never quotes it.
type ServiceError struct {
	Index  int // in alerts.shoutrrr
	Reason string
}

// Error names the place of the URL.
func (e *ServiceError) Error() string {
	return fmt.Sprintf("alerts.shoutrrr[%d]: %s", e.Index, e.Reason)
}

// Outgoing is what notifiers need to send.
type Outgoing struct {
	Rules     egress.Rules
	Transport http.RoundTripper // see NewTransport
	Metrics   *Metrics
	Logger    *slog.Logger
}

// NewShoutrrr returns a notifier for each URL of a service. The URLs are
// secrets: neither names, errors nor logs show them. An error is a
// *ServiceError.
func NewShoutrrr(urls []settings.Secret, o Outgoing) ([]Notifier, error) {
	if len(urls) == 0 {
		return nil, nil
	}
	before := theGate.next.Load()
	adopt(o.Transport)
	var all []Notifier
	for i, secret := range urls {
		s, err := newService(secret.Reveal(), o)
		if err != "" {
			if before != nil {
				theGate.next.Store(before) // those that run go on as they were
			}
			return nil, &ServiceError{Index: i, Reason: err}
		}
		all = append(all, newOutbox(s.scheme+"-"+strconv.Itoa(i+1), s.send, o.Logger, o.Metrics))
	}
	return all, nil
}

// service is one URL.
type service struct {
	scheme string
	titled bool
	sender types.Service
	host   string // of mail: host and port
	rules  egress.Rules
	stuck  atomic.Int32
	scrub  *strings.Replacer
}

func newService(text string, o Outgoing) (*service, string) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, "is not a URL"
	}
	scheme, _, _ := strings.Cut(strings.ToLower(u.Scheme), "+")
	if !slices.Contains(services, scheme) {
		return nil, "names a service that is not supported; there are " + strings.Join(services, ", ")
	}
	s := &service{scheme: scheme, rules: o.Rules, scrub: scrubber(text, u)}
	s.titled = slices.Contains(titled, scheme) || scheme == "generic" && u.Query().Get("template") != ""
	for name := range u.Query() {
		if plain := strings.ToLower(strings.Trim(name, "_@$")); (plain == "skiptlsverify" || plain == "insecureskipverify") && u.Query().Get(name) != "no" {
			return nil, "switches the check of certificates off, which is not supported"
		}
	}
	if scheme == mail {
		port := u.Port()
		if port == "" {
			port = "25" // the library's default
		}
		s.host = net.JoinHostPort(u.Hostname(), port)
	}
	// A router without a logger discards what services log: URLs and answers.
	err = guarded(func() (err error) {
		s.sender, err = new(router.ServiceRouter).Locate(text)
		return err
	})
	if err != nil {
		return nil, "is not the URL of a " + scheme + " service: see the library's documentation of it"
	}
	return s, ""
}

// send sends a notification. The library takes no context: a send that hangs
// is left behind.
func (s *service) send(ctx context.Context, n Notification) error {
	if err := s.allowed(ctx); err != nil {
		return err
	}
	if s.stuck.Add(1) > maxStuck {
		s.stuck.Add(-1)
		return errors.New("earlier notifications still hang")
	}
	message, params := n.Title()+"\n"+n.Message(), types.Params{}
	if s.titled {
		message, params[types.TitleKey] = n.Message(), n.Title()
	}
	done := make(chan error, 1)
	go func() {
		defer s.stuck.Add(-1)
		done <- guarded(func() error { return s.sender.Send(message, &params) })
	}()
	select {
	case err := <-done:
		return s.explain(err)
	case <-ctx.Done():
		return fmt.Errorf("%s: no answer in time", s.scheme)
	}
}

// guarded calls the library: a mistake in a service must not end the process.
func guarded(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the service failed: %v", p)
		}
	}()
	return call()
}

// titled are the services that show a title beside the message; the others
// get it as the first line, and so does `generic` unless it has a template.
var titled = []string{"discord", "opsgenie", "pushbullet", "pushover", "slack", mail, "teams", "telegram"}

// allowed checks where mail goes: the library dials by itself. Every address of
// the name must be allowed; requests of the other services are checked when
// they are made.
func (s *service) allowed(ctx context.Context) error {
	if s.host == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(s.host)
	if err != nil {
		return fmt.Errorf("checking the mail server: %w", err)
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return fmt.Errorf("looking up the mail server: %w", err)
	}
	for _, a := range addrs {
		if err := s.rules.Check(a); err != nil {
			return fmt.Errorf("checking the mail server: %w", err)
		}
	}
	return nil
}

// explain renders an error of the library, which quotes URLs. What the house's
// transport found out stands between marks in it.
func (s *service) explain(err error) error {
	if err == nil {
		return nil
	}
	said := err.Error()
	if _, rest, marked := strings.Cut(said, markBegin); marked {
		if inner, _, ok := strings.Cut(rest, markEnd); ok {
			return fmt.Errorf("%s: %s", s.scheme, inner)
		}
	}
	return fmt.Errorf("%s: %s", s.scheme, cut(s.scrub.Replace(anyURL.ReplaceAllString(said, settings.Mask))))
}

var anyURL = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"']+`)

// scrubber replaces everything of a URL that may be a secret: all of it but
// the scheme.
func scrubber(text string, u *url.URL) *strings.Replacer {
	seen := map[string]bool{}
	add := func(texts ...string) {
		for _, t := range texts {
			if len(t) >= 4 { // shorter ones would tear words apart, and keep no secret
				seen[t], seen[url.QueryEscape(t)], seen[url.PathEscape(t)] = true, true, true
			}
		}
	}
	parts := func(texts ...string) {
		add(texts...)
		for _, t := range texts {
			add(strings.FieldsFunc(t, func(r rune) bool { return strings.ContainsRune("/:-@,;=&", r) })...)
		}
	}
	add(text, u.String())
	parts(u.Host, u.Opaque, u.Path, u.Fragment)
	if u.User != nil {
		password, _ := u.User.Password()
		add(u.User.String())
		parts(u.User.Username(), password)
	}
	for _, values := range u.Query() {
		parts(values...)
	}
	var longest []string
	for t := range seen {
		longest = append(longest, t)
	}
	// A longer text first, or what it contains would leave the rest of it.
	slices.SortFunc(longest, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, t := range longest {
		pairs = append(pairs, t, settings.Mask)
	}
	return strings.NewReplacer(pairs...)
}

// marks around what the transport says. The library passes errors on as texts,
// some with the URL around them.
const markBegin, markEnd = "\u2068", "\u2069"

// gate stands in the place of http.DefaultTransport, which the library uses
// and offers no other way to choose.
type gate struct {
	next atomic.Pointer[http.RoundTripper]
}

var (
	theGate  gate
	adopting sync.Once
)

// adopt sends everything that takes net/http's default transport the house's
// way. The house itself uses no default transport.
func adopt(next http.RoundTripper) {
	theGate.next.Store(&next)
	adopting.Do(func() { http.DefaultTransport = &theGate })
}

// RoundTrip passes a request on and marks its error.
func (g *gate) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := (*g.next.Load()).RoundTrip(req)
	if err != nil {
		return nil, &markedError{err}
	}
	return res, nil
}

type markedError struct{ err error }

func (e *markedError) Error() string { return markBegin + e.err.Error() + markEnd }
func (e *markedError) Unwrap() error { return e.err }
