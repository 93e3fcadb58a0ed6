package demo

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// tokenServer is the token endpoint of an OAuth 2.0 authority that knows the
// client credentials grant. Its tokens end.
type tokenServer struct {
	clients []Credentials
	life    time.Duration
	now     func() time.Time
	down    func() bool // asked whether it is out of order

	mu     sync.Mutex
	tokens map[string]issued
	count  int // tokens issued
}

type issued struct {
	client string
	until  time.Time
}

// ServeHTTP answers a token request, with the credentials in the header or in
// the form.
func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if s.down() {
		answerToken(w, http.StatusServiceUnavailable, map[string]any{"error": "temporarily_unavailable"})
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		answerToken(w, http.StatusMethodNotAllowed, map[string]any{"error": "invalid_request"})
		return
	}
	if err := r.ParseForm(); err != nil {
		answerToken(w, http.StatusBadRequest, map[string]any{"error": "invalid_request"})
		return
	}
	given := Credentials{r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")}
	if user, password, ok := r.BasicAuth(); ok {
		// RFC 6749, 2.3.1: both are form-encoded before they are put together.
		given = Credentials{unescaped(user), unescaped(password)}
	}
	client, ok := s.client(given)
	switch {
	case !ok:
		w.Header().Set("WWW-Authenticate", `Basic realm="session-export"`)
		answerToken(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
	case r.PostForm.Get("grant_type") != "client_credentials":
		answerToken(w, http.StatusBadRequest, map[string]any{"error": "unsupported_grant_type"})
	default:
		answer := map[string]any{"access_token": s.issue(client), "token_type": "Bearer", "expires_in": int(s.life.Seconds())}
		if scope := r.PostForm.Get("scope"); scope != "" {
			answer["scope"] = scope
		}
		answerToken(w, http.StatusOK, answer)
	}
}

func unescaped(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

func answerToken(w http.ResponseWriter, status int, answer map[string]any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the client is gone: nothing to tell anybody.
}

func (s *tokenServer) client(given Credentials) (string, bool) {
	for _, c := range s.clients {
		if c.equal(given) {
			return c.User, true
		}
	}
	return "", false
}

func (s *tokenServer) issue(client string) string {
	token := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for t, i := range s.tokens {
		if now.After(i.until) {
			delete(s.tokens, t)
		}
	}
	s.tokens[token] = issued{client: client, until: now.Add(s.life)}
	s.count++
	return token
}

// holds tells whether the request bears a token of this client that has not
// ended yet.
func (s *tokenServer) holds(r *http.Request, client string) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.tokens[token]
	return ok && i.client == client && s.now().Before(i.until)
}

// forget ends all tokens.
func (s *tokenServer) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

func (c Credentials) equal(o Credentials) bool {
	user := subtle.ConstantTimeCompare([]byte(c.User), []byte(o.User))
	password := subtle.ConstantTimeCompare([]byte(c.Password), []byte(o.Password))
	return user&password == 1
}
