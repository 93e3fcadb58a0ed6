package settings

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// URL is an address whose query may carry a key: every rendering shows it
// redacted. Its zero value is the empty address.
type URL struct {
	parsed *url.URL
}

// Parsed returns a copy of the whole address, its query included; nil when it
// is empty.
func (u URL) Parsed() *url.URL {
	if u.parsed == nil {
		return nil
	}
	c := *u.parsed
	return &c
}

// Empty tells whether there is no address.
func (u URL) Empty() bool { return u.parsed == nil }

// String returns the address with user information and query values redacted.
func (u URL) String() string {
	if u.parsed == nil {
		return ""
	}
	return RedactURL(u.parsed)
}

// GoString returns what String returns.
func (u URL) GoString() string { return u.String() }

// Format writes what String returns, whatever the verb.
func (u URL) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, u.String()) }

// LogValue returns what String returns.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// MarshalText returns what String returns.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// MarshalJSON returns what String returns.
func (u URL) MarshalJSON() ([]byte, error) { return json.Marshal(u.String()) }

// MarshalYAML returns what String returns.
func (u URL) MarshalYAML() (any, error) { return u.String(), nil }

// RedactURL renders an address for people: user information and the values of
// the query are replaced by Mask, the fragment is left out.
func RedactURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	var b strings.Builder
	if u.Scheme != "" {
		b.WriteString(u.Scheme + ":")
	}
	if u.Opaque != "" {
		// What stands behind the scheme is not known to be harmless.
		return b.String() + Mask
	}
	if u.Scheme != "" && !u.OmitHost || u.Host != "" || u.User != nil {
		b.WriteString("//")
		if u.User != nil {
			b.WriteString(Mask + "@")
		}
		b.WriteString(u.Host)
	}
	b.WriteString(u.EscapedPath())
	if u.RawQuery != "" {
		b.WriteByte('?')
		for i, pair := range strings.Split(u.RawQuery, "&") {
			if i > 0 {
				b.WriteByte('&')
			}
			name, _, valued := strings.Cut(pair, "=")
			if valued {
				b.WriteString(name + "=" + Mask)
			} else {
				// A bare token is as likely a value as a name.
				b.WriteString(Mask)
			}
		}
	}
	return b.String()
}

// parseURL reads an address with one of the schemes. The message says what is
// wrong with it and never quotes it.
func parseURL(text string, schemes ...string) (u *url.URL, message string) {
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return nil, "contains a space or a control character"
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, "is not a URL"
	}
	switch {
	case !contains(schemes, u.Scheme):
		if len(schemes) == 1 && schemes[0] == "https" {
			return nil, "is not https: only HTTPS is allowed, so that sessions and credentials never travel in the clear"
		}
		return nil, "must start with " + strings.Join(schemes, ":// or ") + "://"
	case u.Opaque != "" || u.Hostname() == "":
		return nil, "names no host"
	case u.User != nil:
		return nil, "carries a user or password, which belong into authentication"
	case u.Fragment != "" || strings.Contains(text, "#"):
		return nil, "has a fragment (#), which is never sent"
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return nil, "has a port outside of 1 to 65535"
		}
	}
	return u, ""
}

// showURL renders a text that should have been an address, as far as that
// gives nothing away.
func showURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return Mask
	case u.Host != "":
		return RedactURL(u)
	case strings.ContainsAny(text, "@?#&="):
		return Mask
	default: // a host without a scheme, or no address at all
		return text
	}
}

func contains(list []string, s string) bool {
	for _, item := range list {
		if item == s {
			return true
		}
	}
	return false
}
