package auth

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
)

// assertNoSecret holds every text that reaches a person against each spelling
// of the secrets.
func assertNoSecret(t *testing.T, texts ...string) {
	t.Helper()
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		for _, spelling := range []string{
			secret, url.QueryEscape(secret), url.PathEscape(secret), strings.Trim(string(quoted), `"`), urlKey,
			base64.StdEncoding.EncodeToString([]byte(secret)),
			base64.StdEncoding.EncodeToString([]byte(clientID + ":" + url.QueryEscape(secret))),
			"leaked-token",
		} {
			if strings.Contains(text, spelling) {
				t.Errorf("%q shows in %s", spelling, text)
			}
		}
	}
}

// chain is every text along the wrapping, as a careless caller may log it.
func chain(err error) []string {
	var all []string
	for ; err != nil; err = errors.Unwrap(err) {
		all = append(all, err.Error(), fmt.Sprintf("%v", err), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err))
	}
	return all
}

func TestAnswers(t *testing.T) {
	echo := `{"error":"invalid_client","error_description":` + quote("bad secret "+secret+" of "+base64.StdEncoding.EncodeToString([]byte(clientID+":"+url.QueryEscape(secret)))) + `}`
	const jsonType = "application/json"
	for name, c := range map[string]struct {
		status      int
		contentType string
		body        string
		reason      Reason // empty: it is a token
		code        string
		refused     bool
		shows       string // of the error's text
	}{
		"token":                     {200, jsonType, `{"access_token":"t","expires_in":5}`, "", "", false, ""},
		"token without type":        {200, "", `{"access_token":"t"}`, "", "", false, ""},
		"token as text":             {200, "text/plain; charset=utf-8", ` {"access_token":"t"}`, "", "", false, ""},
		"token as a form":           {200, "application/x-www-form-urlencoded", `access_token=t&expires_in=5`, "", "", false, ""},
		"expiry as a string":        {200, jsonType, `{"access_token":"t","expires_in":"5"}`, "", "", false, ""},
		"created":                   {201, jsonType, `{"access_token":"t"}`, "", "", false, ""},
		"invalid client":            {401, jsonType, `{"error":"invalid_client","error_description":"Invalid client or Invalid client credentials"}`, ReasonStatus, "invalid_client", true, "Invalid client or Invalid client credentials"},
		"invalid scope":             {400, jsonType, `{"error":"invalid_scope","error_description":"Invalid scopes: nope"}`, ReasonStatus, "invalid_scope", true, "invalid_scope"},
		"no realm":                  {404, jsonType, `{"error":"Realm does not exist"}`, ReasonStatus, "", true, "status 404: Realm does not exist"},
		"echo":                      {401, jsonType, echo, ReasonStatus, "invalid_client", true, scrubMark},
		"echo as the code":          {401, jsonType, `{"error":` + quote(secret) + `}`, ReasonStatus, "", true, "status 401"},
		"echo in a page":            {400, "text/html", "<h1>" + secret + "</h1>", ReasonStatus, "", true, "status 400"},
		"echo in a good page":       {200, "text/html", "<h1>" + secret + "</h1>", ReasonMalformed, "", true, "no access token"},
		"error with a good status":  {200, jsonType, `{"error":"invalid_client"}`, ReasonStatus, "invalid_client", true, "invalid_client"},
		"temporarily unavailable":   {400, jsonType, `{"error":"temporarily_unavailable"}`, ReasonStatus, "temporarily_unavailable", false, ""},
		"redirect":                  {302, "text/html", "", ReasonStatus, "", true, "status 302"},
		"throttled":                 {429, "text/plain", "", ReasonStatus, "", false, "status 429"},
		"request timeout":           {408, "text/plain", "", ReasonStatus, "", false, ""},
		"too early":                 {425, "text/plain", "", ReasonStatus, "", false, ""},
		"outage":                    {500, "text/plain", "", ReasonStatus, "", false, "status 500"},
		"gateway":                   {502, "text/html", strings.Repeat("<p>", 20_000), ReasonStatus, "", false, "status 502"},
		"outage, says invalid":      {503, jsonType, `{"error":"invalid_request"}`, ReasonStatus, "invalid_request", false, ""},
		"large":                     {200, jsonType, `{"access_token":"` + strings.Repeat("t", maxTokenAnswer) + `"}`, ReasonMalformed, "", true, "larger than 16384"},
		"just not large":            {200, jsonType, `{"access_token":"` + strings.Repeat("t", maxTokenAnswer-len(`{"access_token":""}`)) + `"}`, "", "", false, ""},
		"empty":                     {200, jsonType, ``, ReasonMalformed, "", true, "no access token"},
		"no content":                {204, "", ``, ReasonMalformed, "", true, ""},
		"cut JSON":                  {200, jsonType, `{"access_token":"leaked-token`, ReasonMalformed, "", true, ""},
		"no token":                  {200, jsonType, `{"expires_in":5}`, ReasonMalformed, "", true, ""},
		"token is a number":         {200, jsonType, `{"access_token":5}`, ReasonMalformed, "", true, ""},
		"token with a line break":   {200, jsonType, `{"access_token":"leaked-token\nX-Evil: 1"}`, ReasonMalformed, "", true, "no header can carry"},
		"token with a blank":        {200, jsonType, `{"access_token":"leaked-token x"}`, ReasonMalformed, "", true, "no header can carry"},
		"token beyond ASCII":        {200, jsonType, `{"access_token":"leaked-tokenü"}`, ReasonMalformed, "", true, "no header can carry"},
		"expiry with a fraction":    {200, jsonType, `{"access_token":"leaked-token","expires_in":5.5}`, ReasonMalformed, "", true, ""},
		"description of many lines": {400, jsonType, `{"error":"x","error_description":"one\ntwo\u001b[31m\u2028three` + strings.Repeat("ü", 300) + `"}`, ReasonStatus, "x", true, "one two"},
	} {
		t.Run(name, func(t *testing.T) {
			s, e := &tokens{}, &endpoint{}
			s.answer = func(*http.Request) *http.Response {
				answer := reply(c.status, c.contentType, c.body)
				answer.Header.Set("Location", "https://login.test/elsewhere")
				return answer
			}
			var logged bytes.Buffer
			credentials := newCredentials(t, s, e, func(o *Options) {
				o.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			r := newRequest(t)
			body := &closed{Reader: strings.NewReader("x")}
			r.Body = body
			_, err := send(t, credentials, r)
			if s.count() != 1 {
				t.Errorf("%d requests", s.count())
			}
			assertNoSecret(t, logged.String())
			if c.reason == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(e.seen) != 0 {
				t.Error("a bare request left")
			}
			if !body.done {
				t.Error("the body was not closed")
			}
			var te *TokenError
			if !errors.As(err, &te) {
				t.Fatalf("error %v (%T)", err, err)
			}
			status := c.status
			if c.reason == ReasonMalformed {
				status = http.StatusOK
			}
			if te.Reason != c.reason || te.Code != c.code || te.TokenRefused() != c.refused || te.TokenStatus() != status || te.Timeout() {
				t.Errorf("got %+v", te)
			}
			if !strings.Contains(err.Error(), c.shows) || !strings.Contains(err.Error(), "https://login.test/token: ") {
				t.Errorf("text %q", err)
			}
			if strings.ContainsAny(err.Error(), "\n\r\x1b\u2028") || len(err.Error()) > 400 {
				t.Errorf("not one short line: %q", err)
			}
			assertNoSecret(t, chain(err)...)
			assertNoSecret(t, chain(credentials.Stats().LastError)...)
		})
	}
}

func quote(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(quoted)
}

func TestTokenURLIsHTTPS(t *testing.T) {
	for _, target := range []string{"http://login.test/token?key=" + urlKey, "https://", "login.test/token", "", "https://login.test/%zz?key=" + urlKey} {
		s := &tokens{}
		_, err := send(t, newCredentials(t, s, &endpoint{}, func(o *Options) { o.TokenURL = target }), newRequest(t))
		var te *TokenError
		if !errors.As(err, &te) || te.Reason != ReasonConfiguration || !te.TokenRefused() || s.count() != 0 {
			t.Errorf("%s: error %v, %d requests", target, err, s.count())
		}
		assertNoSecret(t, chain(err)...)
	}
}

// failing is a way on which no answer comes.
type failing struct{ err error }

func (f failing) RoundTrip(r *http.Request) (*http.Response, error) {
	_ = r.Body.Close()
	return nil, f.err
}

// cut is an answer that ends before its end.
type cut struct{ status int }

func (c cut) RoundTrip(r *http.Request) (*http.Response, error) {
	_ = r.Body.Close()
	answer := reply(c.status, "application/json", "")
	answer.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"access_tok`), failingReader{}))
	return answer, nil
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestNoAnswer(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	slow := &net.OpError{Op: "dial", Net: "tcp", Err: timedOut{}}
	for name, c := range map[string]struct {
		way    http.RoundTripper
		reason Reason
		status int
		is     error
	}{
		"down":             {failing{refused}, ReasonConnection, 0, syscall.ECONNREFUSED},
		"slow dial":        {failing{slow}, ReasonTimeout, 0, nil},
		"certificate":      {failing{x509.UnknownAuthorityError{}}, ReasonConnection, 0, nil},
		"cut short":        {cut{200}, ReasonConnection, 0, io.ErrUnexpectedEOF},
		"outage cut short": {cut{502}, ReasonStatus, 502, nil},
		"quotes a secret":  {failing{errors.New("malformed HTTP response " + secret)}, ReasonConnection, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := send(t, newCredentials(t, c.way, &endpoint{}, nil), newRequest(t))
			var te *TokenError
			if !errors.As(err, &te) || te.Reason != c.reason || te.TokenRefused() || te.TokenStatus() != c.status {
				t.Fatalf("error %v", err)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v hides %v", err, c.is)
			}
			assertNoSecret(t, err.Error(), fmt.Sprintf("%+v", err))
		})
	}
	_, err := send(t, newCredentials(t, failing{x509.UnknownAuthorityError{}}, &endpoint{}, nil), newRequest(t))
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) {
		t.Errorf("the certificate's error is hidden: %v", err)
	}
}

type timedOut struct{}

func (timedOut) Error() string   { return "i/o timeout" }
func (timedOut) Timeout() bool   { return true }
func (timedOut) Temporary() bool { return true }

// Over the wire: credentials arrive, the redirect stays unfollowed.
func TestOverTLS(t *testing.T) {
	s, transport := tlsServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/token":
			id, password, ok := r.BasicAuth()
			plainID, _ := url.QueryUnescape(id)
			plainPassword, _ := url.QueryUnescape(password)
			if !ok || plainID != clientID || plainPassword != secret || r.FormValue("grant_type") != "client_credentials" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.Header().Set("Content-Type", "application/json;charset=UTF-8")
			_, _ = io.WriteString(w, `{"access_token":"granted","expires_in":300,"token_type":"Bearer"}`)
		case "/moved":
			http.Redirect(w, r, "/token", http.StatusTemporaryRedirect)
		case "/in":
			_, _ = io.WriteString(w, r.Header.Get("Authorization"))
		}
	})
	for path, want := range map[string]int{"/token": 0, "/moved": http.StatusTemporaryRedirect} {
		credentials := newCredentials(t, nil, transport, func(o *Options) {
			o.TokenTransport, o.TokenURL, o.InHeader = nil, s.URL+path, true
		})
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/in", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := credentials.RoundTrip(r)
		if want != 0 {
			var te *TokenError
			if !errors.As(err, &te) || te.Status != want || !te.TokenRefused() {
				t.Errorf("%s: %v", path, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		shown, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || string(shown) != "Bearer granted" {
			t.Errorf("%q, %v", shown, err)
		}
		credentials.CloseIdleConnections()
	}
}

func TestScrubberCutsAfterScrubbing(t *testing.T) {
	s := newScrubber(clientID, secret)
	for i := range maxText + 10 {
		text := s.text(strings.Repeat("x", i) + secret + strings.Repeat("y", 50))
		for n := len(secret); n > 4; n-- {
			if strings.Contains(text, secret[:n]) {
				t.Fatalf("%d bytes of the secret show in %q", n, text)
			}
		}
	}
	values := queryOf("https://tokens.example/get?api-key=a-key%2Fof+the+server&v=2")
	if got := newScrubber("id", "", values...).text("2: a-key/of the server, a-key%2Fof+the+server"); got != "2: "+scrubMark+", "+scrubMark {
		t.Errorf("with values of the URL: %q", got)
	}
	if got := newScrubber("id", "").text("plain"); got != "plain" {
		t.Errorf("without a secret: %q", got)
	}
}

func FuzzScrub(f *testing.F) {
	f.Add("s3cret", "error: s3cret", 3)
	f.Add("a b+c", "a+b%2Bc", 0)
	f.Add("\x00\x01", "x\x00\x01y", 1)
	f.Fuzz(func(t *testing.T, password, text string, at int) {
		if len(password) < 4 || strings.Contains(scrubMark, password) {
			return
		}
		at = max(0, min(at, len(text)))
		got := newScrubber("id", password).text(text[:at] + password + text[at:])
		if strings.Contains(got, password) {
			t.Errorf("%q shows in %q", password, got)
		}
		if len(got) > maxText+len("…") {
			t.Errorf("%d bytes", len(got))
		}
	})
}

// A flood of senders against a server that is down ends with it.
func TestNothingStaysBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		credentials := newCredentials(t, failing{syscall.ECONNREFUSED}, &endpoint{}, nil)
		for range 100 {
			if _, err := send(t, credentials, newRequest(t)); err == nil {
				t.Fatal("no error")
			}
		}
		if got := credentials.Stats().Failures; got != 100 {
			t.Errorf("%d failures", got)
		}
	})
}
