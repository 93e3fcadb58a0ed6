package sinks

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxExcerpt    = 512     // bytes
	maxRawExcerpt = 4 << 10 // bytes of the answer that an excerpt is made of
	redacted      = "[redacted]"
	quoted        = "[quotes the sessions]"

	// A run of this many bytes that stands in the answer and in the body is taken
	// for a quotation of a session.
	minQuotation = 16
)

// scrubber takes known secrets out of texts.
type scrubber struct {
	replacer *strings.Replacer
	carried  *strings.Replacer // of the access token that the request carried; nil without one
	longest  int
}

// newScrubber knows the secrets, their usual spellings, and the values of the
// endpoint's query, where many services want their key.
func newScrubber(secrets []string, endpoint *url.URL) *scrubber {
	known := slices.Clone(secrets)
	if endpoint != nil {
		if password, ok := endpoint.User.Password(); ok {
			known = append(known, password)
		}
		for _, values := range endpoint.Query() {
			for _, value := range values {
				// Short ones are "true" and "wait_for", not keys.
				if len(value) >= 12 {
					known = append(known, value)
				}
			}
		}
	}
	var spellings []string
	for _, secret := range known {
		if secret == "" {
			continue
		}
		spellings = append(spellings, secret, url.QueryEscape(secret), url.PathEscape(secret),
			jsonSpelling(secret),
			base64.StdEncoding.EncodeToString([]byte(secret)), base64.URLEncoding.EncodeToString([]byte(secret)))
	}
	// Longer ones first: a secret may be a part of another one.
	slices.SortFunc(spellings, func(a, b string) int { return len(b) - len(a) })
	spellings = slices.Compact(spellings)
	s := &scrubber{}
	pairs := make([]string, 0, 2*len(spellings))
	for _, spelling := range spellings {
		s.longest = max(s.longest, len(spelling))
		pairs = append(pairs, spelling, redacted)
	}
	s.replacer = strings.NewReplacer(pairs...)
	return s
}

// sent returns a scrubber that knows what the answered request carried as well:
// access tokens come and go, and are not among the secrets of the settings.
func (s *scrubber) sent(r *http.Request) *scrubber {
	if r == nil {
		return s
	}
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token == "" {
		return s
	}
	escaped := url.QueryEscape(token)
	return &scrubber{
		replacer: s.replacer, carried: strings.NewReplacer(token, redacted, escaped, redacted),
		longest: max(s.longest, len(escaped)),
	}
}

func jsonSpelling(secret string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(secret) != nil {
		return secret
	}
	return strings.Trim(strings.TrimSpace(b.String()), `"`)
}

// credentials matches what an Authorization header carries, whosever it is.
var credentials = regexp.MustCompile(`(?i)\b(bearer|basic)([ :]+)[A-Za-z0-9._~+/=-]{8,}`)

func (s *scrubber) text(t string) string {
	if s.carried != nil {
		t = s.carried.Replace(t)
	}
	return credentials.ReplaceAllString(s.replacer.Replace(t), "${1}${2}"+redacted)
}

// read makes an excerpt of the beginning of an answer. body is what was sent: an
// answer that quotes it is cut there.
func (s *scrubber) read(answer io.Reader, body []byte) string {
	raw := make([]byte, maxRawExcerpt)
	n, err := io.ReadFull(answer, raw)
	raw = raw[:n]
	if err == nil {
		// Cut off somewhere, perhaps within a secret.
		raw = raw[:max(0, len(raw)-s.longest)]
	}
	return s.excerpt(raw, body)
}

func (s *scrubber) excerpt(raw, body []byte) string {
	text := strings.TrimSpace(s.text(string(raw)))
	text = text[:min(len(text), maxExcerpt)]
	if at := quotation([]byte(text), body); at >= 0 {
		return strings.TrimSpace(cutText(printable(text[:at]), maxExcerpt-len(quoted)-1) + " " + quoted)
	}
	return cutText(printable(text), maxExcerpt)
}

// quotation returns where in the answer a quotation of the body begins, -1 without
// one. An answer in JSON quotes with backslashes; without them it is never longer,
// so that the place found there is not behind the quotation's begin.
func quotation(answer, body []byte) int {
	if at := commonRun(answer, body); at >= 0 {
		return at
	}
	if bytes.IndexByte(answer, '\\') < 0 {
		return -1
	}
	return commonRun(bytes.ReplaceAll(answer, []byte(`\`), nil), body)
}

func commonRun(answer, body []byte) int {
	const step = minQuotation / 2
	for at := 0; at+minQuotation <= len(answer); at += step {
		found := bytes.Index(body, answer[at:at+minQuotation])
		if found < 0 {
			continue
		}
		for at > 0 && found > 0 && answer[at-1] == body[found-1] {
			at, found = at-1, found-1
		}
		return at
	}
	return -1
}

// printable replaces what would disturb a terminal, a log line or a page.
func printable(t string) string {
	t = strings.ToValidUTF8(t, "�")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return '.'
		}
		return r
	}, t))
}

// cutText returns at most n bytes of t, whole characters.
func cutText(t string, n int) string {
	if len(t) <= n {
		return t
	}
	for n > 0 && !utf8.RuneStart(t[n]) {
		n--
	}
	return t[:n]
}
