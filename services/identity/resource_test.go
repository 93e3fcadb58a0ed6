//go:build services

package identity_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sessionexport/services"
)

// resource is a resource server: it takes sessions from whoever shows a token that the realm has signed, that has not
// expired and, below /scoped/, that has the scope. Each path is an endpoint of its own.
type resource struct {
	URL string

	keycloak *services.Keycloak

	mu    sync.Mutex
	keys  map[string]*rsa.PublicKey // kept until forget; one that is missing is asked for
	sinks map[string]*endpoint
}

// endpoint is what a resource knows of one path.
type endpoint struct {
	hook    services.Webhook
	tokens  map[string]bool // that were accepted
	refused map[string]int  // requests, by what was wrong
}

func newResource(t *testing.T, s *scene) *resource {
	t.Helper()
	r := &resource{keycloak: s.keycloak, keys: map[string]*rsa.PublicKey{}, sinks: map[string]*endpoint{}}
	r.URL = services.Secure(t, s.authority, r)
	return r
}

// ServeHTTP implements http.Handler.
func (r *resource) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	e := r.endpoint(request.URL.Path)
	token, _ := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer ")
	err := r.check(request.Context(), token, strings.HasPrefix(request.URL.Path, "/scoped/"))
	r.mu.Lock()
	if err != nil {
		e.refused[err.Error()]++
	} else {
		e.tokens[token] = true
	}
	r.mu.Unlock()
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		// What a careless server says: it repeats the token.
		http.Error(w, err.Error()+": "+request.Header.Get("Authorization"), http.StatusUnauthorized)
		return
	}
	e.hook.ServeHTTP(w, request)
}

func (r *resource) endpoint(path string) *endpoint {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sinks[path] == nil {
		r.sinks[path] = &endpoint{tokens: map[string]bool{}, refused: map[string]int{}}
	}
	return r.sinks[path]
}

// seen returns how many tokens a path has accepted, and what it has refused.
func (r *resource) seen(path string) (tokens int, refused map[string]int) {
	e := r.endpoint(path)
	r.mu.Lock()
	defer r.mu.Unlock()
	refused = map[string]int{}
	for reason, n := range e.refused {
		refused[reason] = n
	}
	return len(e.tokens), refused
}

// forget drops the realm's keys, as a cache of them does after some time.
func (r *resource) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.keys)
}

// What may be wrong with a token.
var (
	errNoToken   = errors.New("no token")
	errKey       = errors.New("unknown key")
	errSignature = errors.New("wrong signature")
	errIssuer    = errors.New("wrong issuer")
	errExpired   = errors.New("expired")
	errScope     = errors.New("scope missing")
)

func (r *resource) check(ctx context.Context, token string, scoped bool) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errNoToken
	}
	var header struct{ Kid, Alg string }
	var claims struct {
		Issuer string `json:"iss"`
		Expiry int64  `json:"exp"`
		Scope  string `json:"scope"`
	}
	if err := errors.Join(decode(parts[0], &header), decode(parts[1], &claims)); err != nil {
		return err
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	key, err := r.key(ctx, header.Kid)
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if header.Alg != "RS256" || rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) != nil {
		return errSignature
	}
	switch {
	case claims.Issuer != r.keycloak.Issuer():
		return errIssuer
	case !time.Now().Before(time.Unix(claims.Expiry, 0)):
		return errExpired
	case scoped && !slices.Contains(strings.Fields(claims.Scope), scope):
		return errScope
	}
	return nil
}

// key returns a key of the realm, asking for the set when it does not know it.
func (r *resource) key(ctx context.Context, id string) (*rsa.PublicKey, error) {
	r.mu.Lock()
	key := r.keys[id]
	r.mu.Unlock()
	if key != nil {
		return key, nil
	}
	text, err := r.keycloak.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking for the keys: %w", err)
	}
	var set struct {
		Keys []struct{ Kid, Kty, Use, N, E string }
	}
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range set.Keys {
		n, err1 := base64.RawURLEncoding.DecodeString(k.N)
		e, err2 := base64.RawURLEncoding.DecodeString(k.E)
		if k.Kty == "RSA" && k.Use == "sig" && err1 == nil && err2 == nil {
			r.keys[k.Kid] = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		}
	}
	if r.keys[id] == nil {
		return nil, errKey
	}
	return r.keys[id], nil
}

func decode(part string, into any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// complete fails the test unless a path got every document from 0 up to below a number, none twice.
func (r *resource) complete(t *testing.T, path string, below int) {
	t.Helper()
	sessions := r.endpoint(path).hook.Sessions()
	for i := range below {
		if n := sessions[fmt.Sprintf("s-%d", i)]; n != 1 {
			t.Errorf("%s: session %d came %d times", path, i, n)
		}
	}
	if len(sessions) != below {
		t.Errorf("%s: %d different sessions, want %d", path, len(sessions), below)
	}
}
