package auth

import (
	"net/http"
	"testing"
)

// sent answers 200 to everything.
type sent struct{ response *http.Response }

func (s sent) RoundTrip(*http.Request) (*http.Response, error) { return s.response, nil }

// BenchmarkRequest is what credentials add to a request: Basic, and a token
// that is held.
func BenchmarkRequest(b *testing.B) {
	next := sent{&http.Response{StatusCode: http.StatusOK, Body: http.NoBody}}
	credentials := NewClientCredentials(Options{
		TokenURL: "https://login.test/token", ClientID: clientID, ClientSecret: secret, Next: next, TokenTransport: &tokens{lifetime: 3600},
	})
	b.Cleanup(credentials.Close)
	for name, transport := range map[string]http.RoundTripper{"basic": Basic(clientID, secret, next), "token": credentials} {
		b.Run(name, func(b *testing.B) {
			r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "https://endpoint.test/in", http.NoBody)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				answer, err := transport.RoundTrip(r)
				if err != nil || answer.StatusCode != http.StatusOK {
					b.Fatal(err)
				}
				_ = answer.Body.Close()
			}
		})
	}
}
