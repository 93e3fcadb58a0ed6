package alerts

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"sessionexport/egress"
	"sessionexport/settings"
)

// hook is a generic webhook.
type hook struct {
	mu     sync.Mutex
	status int
	got    []string
	paths  []string
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got, h.paths = append(h.got, string(body)), append(h.paths, r.URL.RequestURI())
	if h.status != 0 {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(h.status)
	}
}

func (h *hook) set(status int) {
	h.mu.Lock()
	h.status = status
	h.mu.Unlock()
}

func (h *hook) last() (path, body string, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n = len(h.got); n == 0 {
		return "", "", 0
	}
	return h.paths[n-1], h.got[n-1], n
}

func outgoing(transport http.RoundTripper, log io.Writer) Outgoing {
	return Outgoing{Transport: transport, Metrics: NewMetrics(), Logger: slog.New(slog.NewTextHandler(log, nil))}
}

func one(t *testing.T, address string, o Outgoing) Notifier {
	t.Helper()
	all, err := NewShoutrrr([]settings.Secret{settings.NewSecret(address)}, o)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

func failure() Notification {
	return Notification{Key: key(DeliveryFailed), State: Opened, At: noon, Since: noon, Waiting: 70, Error: "Request timeout"}
}

func TestGenericWebhookOverTLS(t *testing.T) {
	h := &hook{}
	server := httptest.NewTLSServer(h)
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "https://")
	o := outgoing(trusting(t, server, egress.Rules{}), io.Discard)

	if err := one(t, "generic://"+host+"/hunter2-path?template=json&@X-Key=hunter2-header", o).Try(t.Context(), failure()); err != nil {
		t.Fatal(err)
	}
	path, body, _ := h.last()
	var sent map[string]string
	if err := json.Unmarshal([]byte(body), &sent); err != nil || path != "/hunter2-path" {
		t.Fatalf("%s: %v: %s", path, err, body)
	}
	if sent["title"] != failure().Title() || sent["message"] != failure().Message() {
		t.Errorf("sent %v", sent)
	}
	if err := one(t, "generic+https://"+host+"/plain", o).Try(t.Context(), failure()); err != nil {
		t.Fatal(err)
	}
	if _, body, _ := h.last(); body != failure().Title()+"\n"+failure().Message() {
		t.Errorf("sent %q", body)
	}
}

func TestServiceFailureShowsNoSecret(t *testing.T) {
	h := &hook{}
	server := httptest.NewTLSServer(h)
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "https://")
	o := outgoing(trusting(t, server, egress.Rules{}), io.Discard)
	n := one(t, "generic://hunter2-user:hunter2-pass@"+host+"/hunter2-path/hunter2%20more?template=json&token=hunter2-token", o)
	for _, status := range []int{http.StatusFound, http.StatusForbidden, http.StatusBadGateway} {
		h.set(status)
		_, _, before := h.last()
		err := n.Try(t.Context(), failure())
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), fmt.Sprintf("%s answered %d", host, status)) {
			t.Errorf("answered %d: %v", status, err)
		}
		if _, _, after := h.last(); after != before+1 {
			t.Errorf("answered %d: %d requests", status, after-before)
		}
	}
	server.Close()
	if err := n.Try(t.Context(), failure()); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("closed: %v", err)
	}
}

// Whatever a service's own error quotes, nothing of its URL is shown.
func TestExplainScrubs(t *testing.T) {
	text := "slack://hook:TAAAAAAAA-BBBBBBBBB-hunter2hunter2hunter2xyz@webhook?color=good"
	s, problem := newService(text, outgoing(nil, io.Discard))
	if problem != "" {
		t.Fatal(problem)
	}
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{
		text, u.User.String(), "TAAAAAAAA-BBBBBBBBB-hunter2hunter2hunter2xyz", "token hunter2hunter2hunter2xyz is bad",
		"https://hooks.slack.com/services/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: 404", "TAAAAAAAA/BBBBBBBBB",
	} {
		got := s.explain(errors.New("sending: " + said)).Error()
		for _, secret := range []string{"hunter2", "TAAAAAAAA", "BBBBBBBBB"} {
			if strings.Contains(got, secret) {
				t.Errorf("%q became %q", said, got)
			}
		}
		if !strings.HasPrefix(got, "slack: sending: ") {
			t.Errorf("%q became %q", said, got)
		}
	}
}

func TestServiceURLs(t *testing.T) {
	for address, want := range map[string]string{
		"://hunter2":                                          "is not a URL",
		"hunter2://hunter2":                                   "names a service that is not supported",
		"logger://":                                           "names a service that is not supported",
		"ntfy://hunter2@example.com/topic":                    "names a service that is not supported",
		"matrix://u:hunter2@example.com/?rooms=!r":            "names a service that is not supported",
		"slack://hunter2":                                     "is not the URL of a slack service",
		"smtp://u:hunter2@example.com/?to=hunter2":            "is not the URL of a smtp service",
		"smtp://e.com:587/?from=a@b&to=c@d&skiptlsverify=yes": "switches the check of certificates off",
	} {
		_, err := NewShoutrrr([]settings.Secret{settings.NewSecret(address)}, outgoing(nil, io.Discard))
		var failed *ServiceError
		if !errors.As(err, &failed) || failed.Index != 0 || !strings.Contains(failed.Reason, want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
	var many []settings.Secret
	for _, address := range []string{
		"slack://hook:TAAAAAAAA-BBBBBBBBB-123456789123456789123456@webhook", "discord://token@id",
		"telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw@telegram?chats=@channel", "generic://example.com/path",
		"smtp://user:password@mail.example.com:587/?from=a@example.com&to=b@example.com", "pushover://shoutrrr:token@user/",
		"opsgenie://api.opsgenie.com/eb243592-faa2-4ba2-a551q-1afdf565c889",
		"teams://11111111-4444-4444-8444-cccccccccccc@22222222-4444-4444-8444-cccccccccccc/33333333012222222222333333333344/44444444-4444-4444-8444-cccccccccccc/V2ESyij_gAljSoUQHvZoZYzlpAoAXExyOl26dlf1xHEx05?host=outlook.office.com",
	} {
		many = append(many, settings.NewSecret(address))
	}
	all, err := NewShoutrrr(many, outgoing(nil, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range all {
		names = append(names, n.Name())
	}
	if got := strings.Join(names, " "); got != "slack-1 discord-2 telegram-3 generic-4 smtp-5 pushover-6 opsgenie-7 teams-8" {
		t.Errorf("named %s", got)
	}
}

func TestEgressRulesHoldForServices(t *testing.T) {
	h := &hook{}
	server := httptest.NewTLSServer(h)
	defer server.Close()
	rules := egress.Rules{Deny: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	o := outgoing(trusting(t, server, rules), io.Discard)
	o.Rules = rules
	for _, address := range []string{
		"generic://" + strings.TrimPrefix(server.URL, "https://") + "/hunter2",
		"smtp://user:hunter2@127.0.0.1:2525/?from=a@example.com&to=b@example.com",
	} {
		err := one(t, address, o).Try(t.Context(), failure())
		if err == nil || !strings.Contains(err.Error(), "egress to 127.0.0.1 refused") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
	if _, _, n := h.last(); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

// mailbox speaks as much SMTP as one mail needs.
func mailbox(t *testing.T) (address string, mail <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan string, 1)
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		r := bufio.NewReader(conn)
		say := func(line string) { _, _ = fmt.Fprintf(conn, "%s\r\n", line) }
		say("220 mail.example")
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			switch word := strings.ToUpper(strings.Fields(line + " .")[0]); word {
			case "DATA":
				say("354 go on")
				var text strings.Builder
				for {
					line, err := r.ReadString('\n')
					if err != nil || line == ".\r\n" {
						break
					}
					text.WriteString(line)
				}
				out <- text.String()
				say("250 taken")
			case "QUIT":
				say("221 bye")
				return
			default:
				say("250 ok")
			}
		}
	}()
	return l.Addr().String(), out
}

func TestMail(t *testing.T) {
	address, mail := mailbox(t)
	n := one(t, "smtp://"+address+"/?from=a@example.com&to=b@example.com&auth=None&encryption=None&starttls=no", outgoing(nil, io.Discard))
	if err := n.Try(t.Context(), failure()); err != nil {
		t.Fatal(err)
	}
	got := <-mail
	for _, part := range []string{"Subject: " + failure().Title(), "To: b@example.com", "70 sessions wait", "What to do"} {
		if !strings.Contains(got, part) {
			t.Errorf("the mail lacks %q:\n%s", part, got)
		}
	}
}

// A mail server that says nothing is left behind, a few times.
func TestMailServerHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, conn)
		}
	}()
	s, problem := newService("smtp://"+l.Addr().String()+"/?from=a@example.com&to=b@example.com&auth=None&encryption=None", outgoing(nil, io.Discard))
	if problem != "" {
		t.Fatal(problem)
	}
	for range maxStuck {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := s.send(ctx, failure()); err == nil || !strings.Contains(err.Error(), "no answer in time") {
			t.Errorf("got %v", err)
		}
		cancel()
	}
	if err := s.send(t.Context(), failure()); err == nil || !strings.Contains(err.Error(), "still hang") {
		t.Errorf("got %v", err)
	}
	_ = l.Close()
	<-accepting
	for _, c := range conns {
		_ = c.Close()
	}
}

// What a failing notifier logs shows no secret.
func TestOutboxLogShowsNoSecret(t *testing.T) {
	h := &hook{status: http.StatusForbidden}
	server := httptest.NewTLSServer(h)
	defer server.Close()
	var log bytes.Buffer
	var guard sync.Mutex
	logged := make(chan struct{}, 10)
	o := outgoing(trusting(t, server, egress.Rules{}), writer(func(p []byte) (int, error) {
		guard.Lock()
		defer guard.Unlock()
		logged <- struct{}{}
		return log.Write(p)
	}))
	n := one(t, "generic://"+strings.TrimPrefix(server.URL, "https://")+"/hunter2?key=hunter2-key", o)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { n.Run(ctx) })
	late := failure()
	late.At = time.Now()
	n.Tell(late)
	<-logged
	cancel()
	wg.Wait()
	if text := log.String(); strings.Contains(text, "hunter2") || !strings.Contains(text, "notifier=generic-1") || !strings.Contains(text, "answered 403 Forbidden") {
		t.Errorf("logged %s", text)
	}
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// panicking is a service with a mistake.
type panicking struct{ types.Service }

func (panicking) Send(string, *types.Params) error { panic("index out of range") }

func TestServiceThatPanics(t *testing.T) {
	s, problem := newService("generic://example.com/path", outgoing(nil, io.Discard))
	if problem != "" {
		t.Fatal(problem)
	}
	s.sender = panicking{}
	if err := s.send(t.Context(), failure()); err == nil || !strings.Contains(err.Error(), "index out of range") {
		t.Errorf("got %v", err)
	}
}

// No URL makes the service fail, and no refusal quotes it.
func FuzzServiceURL(f *testing.F) {
	for _, seed := range []string{
		"slack://hook:TAAAAAAAA-BBBBBBBBB-123456789123456789123456@webhook", "generic+https://u:p@example.com:1/a?b=c&@d=e&$f=g",
		"smtp://u:p@example.com:587/?from=a@b.c&to=d@e.f", "discord://t@i", "telegram://1:A@telegram?chats=@c", "teams://a@b/c/d?host=x.y",
		"matrix://u:p@h/?rooms=!r", "zulip://b:k@h/?stream=s", "opsgenie://h/k", "smtp://", "://", "generic://[::1]:99999/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, problem := newService(text, Outgoing{})
		if (s == nil) == (problem == "") {
			t.Errorf("%v, %q", s, problem)
		}
		if s == nil {
			return
		}
		if got := s.explain(errors.New("sending to " + text + " failed")).Error(); len(text) > 30 && strings.Contains(got, text) {
			t.Errorf("%q shows the URL", got)
		}
	})
}
