package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/sync/singleflight"
)

const (
	// DefaultTimeout bounds the fetch of one token: no sooner than the attempt
	// that waits for it, whose own context ends its waiting.
	DefaultTimeout = 30 * time.Second

	// A token is not used in the last tenth of its life and the second before
	// that, at most its last 10 s or its second half: it has to live until the
	// receiver looks at it, and one that lives for only seconds has to be of
	// some use. The second is what servers cut off that note a token's end in
	// whole seconds and tell its life rounded up.
	largestMargin  = 10 * time.Second
	marginFraction = 10
	roundedOff     = time.Second
)

// Options of client credentials.
type Options struct {
	TokenURL     string // https only
	ClientID     string
	ClientSecret string
	Scope        string // optional; several are separated by blanks
	InHeader     bool   // id and secret in the Authorization header instead of the body

	Next           http.RoundTripper // the way to the endpoint
	TokenTransport http.RoundTripper // the way to the token server; nil: Next
	Timeout        time.Duration     // of one fetch, 0: DefaultTimeout
	UserAgent      string            // of the fetch, optional
	Logger         *slog.Logger      // nil: slog.Default()
}

// ClientCredentials sends every request with a bearer token (RFC 6749, 4.4),
// which it fetches when it has none, and keeps.
//
//	        fetched                 margin before expiry
//	none ────────────▶ fresh ──────────────────────────────▶ none
//	 ▲                  │ the endpoint answers 401
//	 │      Drop        ▼
//	 └─────────────── refused (still sent until Drop)
//
// All senders that find no fresh token wait for the same fetch. A request never
// leaves without a token.
type ClientCredentials struct {
	options Options
	scrub   *scrubber
	config  clientcredentials.Config
	client  *http.Client
	flight  singleflight.Group

	// life ends with Close and with it a fetch that is under way; a fetch
	// outlives the request that began it.
	life context.Context
	end  context.CancelFunc

	mu      sync.Mutex
	current *token
	stats   Stats
}

// token is an access token and until when it is sent.
type token struct {
	access  string
	until   time.Time // zero: the server names no end
	refused bool
}

func (t *token) fresh(now time.Time) bool {
	return t != nil && (t.until.IsZero() || now.Before(t.until))
}

// Stats are figures of the fetches since the start.
type Stats struct {
	Fetches   uint64    // that brought a token
	Failures  uint64    // that did not
	Dropped   uint64    // tokens that the endpoint refused
	LastError error     // of the last fetch; nil when it brought a token. A *TokenError.
	LastFetch time.Time // when the last fetch ended, zero before the first
	Expiry    time.Time // when the current token ends; zero without one, or when the server names no end
}

// NewClientCredentials makes no request yet.
func NewClientCredentials(o Options) *ClientCredentials {
	if o.TokenTransport == nil {
		o.TokenTransport = o.Next
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	life, end := context.WithCancel(context.Background())
	return &ClientCredentials{
		options: o,
		scrub:   newScrubber(o.ClientID, o.ClientSecret, queryOf(o.TokenURL)...),
		config:  config(o),
		client: &http.Client{
			Transport:     &tokenTransport{next: o.TokenTransport, userAgent: o.UserAgent},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		life: life,
		end:  end,
	}
}

// RoundTrip sends a copy of the request with a token through Next. Errors of the
// fetch are a *TokenError, and so is a wait that outlasted the request's
// deadline; a wait that was cancelled is the context's error. Either way the
// fetch goes on for the others.
func (c *ClientCredentials) RoundTrip(r *http.Request) (*http.Response, error) {
	t, err := c.token(r.Context())
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // the contract of a RoundTripper; there is nothing to tell about it
		}
		return nil, err
	}
	own := r.Clone(r.Context())
	own.Header.Set("Authorization", "Bearer "+t.access)
	answer, err := c.options.Next.RoundTrip(own)
	if err == nil && answer.StatusCode == http.StatusUnauthorized {
		c.mu.Lock()
		t.refused = true
		c.mu.Unlock()
	}
	return answer, err
}

// Drop forgets the current token if the endpoint answered 401 to it. When a
// late answer refuses a token that was replaced meanwhile, the new one stays.
func (c *ClientCredentials) Drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil && c.current.refused {
		c.current = nil
		c.stats.Dropped++
		c.stats.Expiry = time.Time{}
	}
}

// Stats returns the figures of now.
func (c *ClientCredentials) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// CloseIdleConnections reaches through to both transports.
func (c *ClientCredentials) CloseIdleConnections() {
	closeIdle(c.options.Next)
	closeIdle(c.options.TokenTransport)
}

// Close cancels a fetch that is under way and makes every later one fail.
func (c *ClientCredentials) Close() { c.end() }

// token returns the current token, or waits for a fetch.
func (c *ClientCredentials) token(ctx context.Context) (*token, error) {
	if t := c.held(); t != nil {
		return t, nil
	}
	if ctx.Err() != nil {
		return nil, c.gaveUp(ctx)
	}
	result := c.flight.DoChan("token", func() (any, error) {
		// A flight that landed between the look above and here.
		if t := c.held(); t != nil {
			return t, nil
		}
		return c.fetch()
	})
	select {
	case <-ctx.Done():
		return nil, c.gaveUp(ctx)
	case r := <-result:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*token), nil
	}
}

// gaveUp is the error of a request that did not wait for its token any longer.
// When its time was over it is the token server that took it.
func (c *ClientCredentials) gaveUp(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return c.failure(ReasonTimeout, 0, "no answer in time", ctx.Err())
	}
	return fmt.Errorf("waiting for a token: %w", ctx.Err())
}

func (c *ClientCredentials) held() *token {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current.fresh(time.Now()) {
		return c.current
	}
	return nil
}

// fetch asks the token server, bounded by the time-out and by Close, and keeps
// what it brings.
func (c *ClientCredentials) fetch() (*token, error) {
	ctx, cancel := context.WithTimeout(c.life, c.options.Timeout)
	defer cancel()
	asked := time.Now()
	t, expiry, err := c.ask(ctx, asked)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.LastFetch = time.Now()
	if err != nil {
		c.stats.Failures++
		c.stats.LastError = err
		c.options.Logger.Debug("token fetch failed", "token_url", shownURL(c.options.TokenURL), "error", err)
		return nil, err
	}
	c.current = t
	c.stats.Fetches++
	c.stats.LastError = nil
	c.stats.Expiry = expiry
	c.options.Logger.Debug("token fetched", "token_url", shownURL(c.options.TokenURL), "expiry", expiry)
	return t, nil
}

// ask makes the one request. The life of the token is counted from when it was
// asked for: the server began to count before its answer arrived.
func (c *ClientCredentials) ask(ctx context.Context, asked time.Time) (*token, time.Time, error) {
	if err := checkTokenURL(c.options.TokenURL); err != nil {
		return nil, time.Time{}, err
	}
	got, err := c.config.Token(context.WithValue(ctx, oauth2.HTTPClient, c.client))
	if err != nil {
		return nil, time.Time{}, c.tokenError(err)
	}
	if !sendable(got.AccessToken) {
		return nil, time.Time{}, c.failure(ReasonMalformed, http.StatusOK, "the access token has characters that no header can carry", nil)
	}
	t := &token{access: got.AccessToken}
	if got.Expiry.IsZero() {
		return t, time.Time{}, nil
	}
	lifetime := time.Until(got.Expiry)
	margin := min(largestMargin, lifetime/marginFraction+roundedOff, lifetime/2)
	expiry := asked.Add(lifetime)
	t.until = expiry.Add(-margin)
	return t, expiry, nil
}

func config(o Options) clientcredentials.Config {
	c := clientcredentials.Config{
		ClientID:     o.ClientID,
		ClientSecret: o.ClientSecret,
		TokenURL:     o.TokenURL,
		AuthStyle:    oauth2.AuthStyleInParams,
	}
	if o.InHeader {
		c.AuthStyle = oauth2.AuthStyleInHeader
	}
	if o.Scope != "" {
		c.Scopes = []string{o.Scope} // joined by blanks, as it is written already
	}
	return c
}

// sendable accepts what a header can carry: visible ASCII.
func sendable(access string) bool {
	for i := range len(access) {
		if access[i] <= ' ' || access[i] > '~' {
			return false
		}
	}
	return access != ""
}
