package dispatcher

import "testing"

// Whoever is not accepted asks rarely, so that no account is locked out.
func TestCredentials(t *testing.T) {
	for name, c := range map[string]struct {
		cause Cause
		want  bool
	}{
		"the endpoint":                  {Cause{Reason: "status", Status: 401}, true},
		"a proxy before the endpoint":   {Cause{Reason: "status", Status: 407}, true},
		"the token endpoint":            {Cause{Reason: "token_refused"}, true},
		"a proxy that opens no tunnel":  {Cause{Reason: "proxy_credentials"}, true},
		"a proxy's rule":                {Cause{Reason: "proxy"}, false},
		"forbidden":                     {Cause{Reason: "status", Status: 403}, false},
		"a token server that is not up": {Cause{Reason: "token"}, false},
	} {
		if got := c.cause.credentials(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
