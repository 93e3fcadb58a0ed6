package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestBasic(t *testing.T) {
	e := &endpoint{}
	r := newRequest(t)
	r.Header.Set("X-Own", "1")
	status, err := send(t, Basic("user", "pa:ss ü", e), r)
	if err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:pa:ss ü"))
	if e.seen[0] != want {
		t.Errorf("sent %q, want %q", e.seen[0], want)
	}
	if len(r.Header) != 1 {
		t.Errorf("the caller's request was changed: %v", r.Header)
	}
}

func TestTokenRequest(t *testing.T) {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(clientID+":"+url.QueryEscape(secret)))
	for name, c := range map[string]struct {
		inHeader bool
		scope    string
		body     url.Values
		header   string
	}{
		"in the body":   {false, "", url.Values{"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {secret}}, ""},
		"with a scope":  {false, "a.write b.read", url.Values{"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {secret}, "scope": {"a.write b.read"}}, ""},
		"in the header": {true, "", url.Values{"grant_type": {"client_credentials"}}, basic},
	} {
		t.Run(name, func(t *testing.T) {
			s, e := &tokens{lifetime: 300}, &endpoint{}
			r := newRequest(t)
			credentials := newCredentials(t, s, e, func(o *Options) {
				o.InHeader, o.Scope, o.UserAgent = c.inHeader, c.scope, "session-export/test"
			})
			if status, err := send(t, credentials, r); err != nil || status != http.StatusOK {
				t.Fatal(status, err)
			}
			if len(r.Header) != 0 {
				t.Errorf("the caller's request was changed: %v", r.Header)
			}
			got, err := url.ParseQuery(s.bodies[0])
			if err != nil || got.Encode() != c.body.Encode() {
				t.Errorf("body %q, want %q", s.bodies[0], c.body.Encode())
			}
			asked := s.requests[0]
			for header, want := range map[string]string{
				"Authorization": c.header, "Accept": "application/json", "User-Agent": "session-export/test",
				"Content-Type": "application/x-www-form-urlencoded",
			} {
				if v := asked.Header.Get(header); v != want {
					t.Errorf("%s: %q, want %q", header, v, want)
				}
			}
			if asked.Method != http.MethodPost || asked.URL.Query().Get("key") != urlKey {
				t.Errorf("%s %s", asked.Method, asked.URL)
			}
			if e.seen[0] != "Bearer token-1" {
				t.Errorf("sent %q", e.seen[0])
			}
		})
	}
}

// A token is kept until a tenth of its life and a second are left, at most 10 s
// and half of it.
func TestTokenIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		lifetime  int           // seconds
		lastUse   time.Duration // it is still sent
		firstMiss time.Duration // it is not sent any more
	}{
		"seconds":  {5, 3499 * time.Millisecond, 3500 * time.Millisecond},
		"a second": {1, 499 * time.Millisecond, 500 * time.Millisecond},
		"a minute": {60, 52999 * time.Millisecond, 53 * time.Second},
		"an hour":  {3600, 3589 * time.Second, 3590 * time.Second},
		"no end":   {0, 24 * 365 * time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &tokens{lifetime: c.lifetime}
				credentials := newCredentials(t, s, &endpoint{}, nil)
				start := time.Now()
				use := func(at time.Duration, fetches int) {
					time.Sleep(time.Until(start.Add(at)))
					if _, err := send(t, credentials, newRequest(t)); err != nil {
						t.Fatal(err)
					}
					if s.count() != fetches {
						t.Errorf("after %v: %d fetches, want %d", at, s.count(), fetches)
					}
				}
				use(0, 1)
				use(time.Millisecond, 1)
				use(c.lastUse, 1)
				if c.firstMiss != 0 {
					use(c.firstMiss, 2)
				}
			})
		})
	}
}

// The server's clock began before the answer arrived.
func TestLifeCountsFromTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokens{lifetime: 10, delay: 3 * time.Second}
		credentials := newCredentials(t, s, &endpoint{}, nil)
		start := time.Now()
		if _, err := send(t, credentials, newRequest(t)); err != nil {
			t.Fatal(err)
		}
		if got := credentials.Stats().Expiry.Sub(start); got != 10*time.Second {
			t.Errorf("expires after %v", got)
		}
		time.Sleep(time.Until(start.Add(7999 * time.Millisecond)))
		if _, err := send(t, credentials, newRequest(t)); err != nil || s.count() != 1 {
			t.Errorf("%d fetches, %v", s.count(), err)
		}
		time.Sleep(time.Millisecond)
		if _, err := send(t, credentials, newRequest(t)); err != nil || s.count() != 2 {
			t.Errorf("%d fetches, %v", s.count(), err)
		}
	})
}

func TestOneFetchForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e := &tokens{lifetime: 300, delay: time.Second}, &endpoint{}
		credentials := newCredentials(t, s, e, nil)
		var senders sync.WaitGroup
		for range 50 {
			senders.Go(func() {
				if _, err := send(t, credentials, newRequest(t)); err != nil {
					t.Error(err)
				}
			})
		}
		senders.Wait()
		if s.count() != 1 || len(e.seen) != 50 {
			t.Errorf("%d fetches for %d requests", s.count(), len(e.seen))
		}
		for _, shown := range e.seen {
			if shown != "Bearer token-1" {
				t.Errorf("sent %q", shown)
			}
		}
	})
}

func TestOneFailureForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e := &tokens{delay: time.Second}, &endpoint{}
		s.answer = func(*http.Request) *http.Response { return reply(503, "text/plain", "") }
		credentials := newCredentials(t, s, e, nil)
		var senders sync.WaitGroup
		for range 20 {
			senders.Go(func() {
				var te *TokenError
				if _, err := send(t, credentials, newRequest(t)); !errors.As(err, &te) || te.TokenStatus() != 503 {
					t.Errorf("error %v", err)
				}
			})
		}
		senders.Wait()
		if s.count() != 1 || len(e.seen) != 0 {
			t.Errorf("%d fetches, %d bare requests", s.count(), len(e.seen))
		}
		// A failure is not kept.
		s.answer = nil
		if _, err := send(t, credentials, newRequest(t)); err != nil {
			t.Error(err)
		}
	})
}

// Who stops waiting does not take the fetch away from the others.
func TestWaiterLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e := &tokens{lifetime: 300, delay: 10 * time.Second}, &endpoint{}
		credentials := newCredentials(t, s, e, nil)
		var senders sync.WaitGroup
		senders.Go(func() { // the one that began the fetch
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			body := &closed{Reader: strings.NewReader("x")}
			r := newRequest(t).WithContext(ctx)
			r.Body = body
			_, err := send(t, credentials, r)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second || !body.done {
				t.Errorf("error %v after %v, body closed %v", err, time.Since(start), body.done)
			}
			var te *TokenError
			if !errors.As(err, &te) || te.Reason != ReasonTimeout || te.TokenRefused() {
				t.Errorf("the token server took all the time, and the error is %v", err)
			}
		})
		senders.Go(func() {
			time.Sleep(time.Millisecond)
			if status, err := send(t, credentials, newRequest(t)); err != nil || status != http.StatusOK {
				t.Errorf("status %d, %v", status, err)
			}
		})
		senders.Wait()
		if s.count() != 1 {
			t.Errorf("%d fetches", s.count())
		}
	})
}

func TestCancelledBeforehandAsksNobody(t *testing.T) {
	s := &tokens{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := send(t, newCredentials(t, s, &endpoint{}, nil), newRequest(t).WithContext(ctx))
	if !errors.Is(err, context.Canceled) || s.count() != 0 {
		t.Errorf("error %v, %d fetches", err, s.count())
	}
}

func TestFetchIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokens{delay: time.Hour}
		credentials := newCredentials(t, s, &endpoint{}, func(o *Options) { o.Timeout = 7 * time.Second })
		start := time.Now()
		_, err := send(t, credentials, newRequest(t))
		var te *TokenError
		if !errors.As(err, &te) || te.Reason != ReasonTimeout || !te.Timeout() || te.TokenRefused() || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if time.Since(start) != 7*time.Second {
			t.Errorf("after %v", time.Since(start))
		}
	})
}

func TestCloseEndsTheFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokens{delay: time.Hour}
		credentials := newCredentials(t, s, &endpoint{}, nil)
		time.AfterFunc(time.Second, credentials.Close)
		start := time.Now()
		_, err := send(t, credentials, newRequest(t))
		if !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
	})
}

func TestDrop(t *testing.T) {
	s, e := &tokens{lifetime: 300}, &endpoint{refuses: map[string]bool{"token-1": true}}
	credentials := newCredentials(t, s, e, nil)
	credentials.Drop() // without a token it does nothing
	if status, err := send(t, credentials, newRequest(t)); err != nil || status != http.StatusUnauthorized {
		t.Fatal(status, err)
	}
	credentials.Drop()
	if !credentials.Stats().Expiry.IsZero() {
		t.Error("a dropped token still has an end")
	}
	if status, err := send(t, credentials, newRequest(t)); err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	credentials.Drop() // the control case: nobody refused this one
	if status, err := send(t, credentials, newRequest(t)); err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	if s.count() != 2 || credentials.Stats().Dropped != 1 {
		t.Errorf("%d fetches, %+v", s.count(), credentials.Stats())
	}
}

// slowRefusal answers 401 when it is told to.
type slowRefusal struct{ answer chan struct{} }

func (e *slowRefusal) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Authorization") == "Bearer token-1" {
		<-e.answer
		return reply(http.StatusUnauthorized, "text/plain", ""), nil
	}
	return reply(http.StatusOK, "text/plain", ""), nil
}

// Several batches in flight hear of the same dead token one after the other:
// only the first drops it, the fresh one of meanwhile stays.
func TestLateRefusalKeepsTheNewToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e := &tokens{lifetime: 300}, &slowRefusal{answer: make(chan struct{})}
		credentials := newCredentials(t, s, e, nil)
		late := make(chan int)
		for range 2 {
			go func() {
				status, err := send(t, credentials, newRequest(t))
				if err != nil {
					t.Error(err)
				}
				credentials.Drop()
				late <- status
			}()
		}
		synctest.Wait()
		e.answer <- struct{}{}
		<-late
		if status, err := send(t, credentials, newRequest(t)); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
		e.answer <- struct{}{}
		if status := <-late; status != http.StatusUnauthorized {
			t.Errorf("status %d", status)
		}
		if _, err := send(t, credentials, newRequest(t)); err != nil {
			t.Fatal(err)
		}
		if s.count() != 2 || credentials.Stats().Dropped != 1 {
			t.Errorf("%d fetches, %+v", s.count(), credentials.Stats())
		}
	})
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokens{lifetime: 100}
		s.answer = func(*http.Request) *http.Response { return reply(500, "text/plain", "") }
		credentials := newCredentials(t, s, &endpoint{}, nil)
		if got := credentials.Stats(); got != (Stats{}) {
			t.Errorf("before: %+v", got)
		}
		_, _ = send(t, credentials, newRequest(t))
		got := credentials.Stats()
		if got.Failures != 1 || got.Fetches != 0 || got.LastError == nil || !got.LastFetch.Equal(time.Now()) || !got.Expiry.IsZero() {
			t.Errorf("after a failure: %+v", got)
		}
		s.answer = nil
		_, _ = send(t, credentials, newRequest(t))
		got = credentials.Stats()
		if got.Failures != 1 || got.Fetches != 1 || got.LastError != nil || !got.Expiry.Equal(time.Now().Add(100*time.Second)) {
			t.Errorf("after a token: %+v", got)
		}
	})
}
