package auth

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxText   = 256 // bytes of a foreign text in an error
	scrubMark = "[secret]"
)

// scrubber takes a secret out of foreign text, in every spelling in which it
// was sent or may be echoed.
type scrubber struct{ replacer *strings.Replacer }

// newScrubber knows a client's secret, and whatever else must not be shown.
func newScrubber(id, secret string, more ...string) *scrubber {
	var spellings []string
	if secret != "" {
		spellings = spellingsOf(id, secret)
	}
	for _, value := range more {
		spellings = append(spellings, value, url.QueryEscape(value), url.PathEscape(value))
	}
	// The longest first: a spelling that contains another must go as a whole.
	sort.Slice(spellings, func(i, j int) bool { return len(spellings[i]) > len(spellings[j]) })
	pairs := make([]string, 0, 2*len(spellings))
	seen := map[string]bool{"": true}
	for _, s := range spellings {
		if !seen[s] {
			seen[s] = true
			pairs = append(pairs, s, scrubMark)
		}
	}
	return &scrubber{replacer: strings.NewReplacer(pairs...)}
}

// leastValue is the length from which a value of a query is taken for a key;
// shorter ones are flags and names.
const leastValue = 8 // bytes

// queryOf lists the values of a token URL's query, where some servers want a
// key.
func queryOf(tokenURL string) []string {
	u, err := url.Parse(tokenURL)
	if err != nil {
		return nil
	}
	var out []string
	for _, values := range u.Query() {
		for _, value := range values {
			if len(value) >= leastValue {
				out = append(out, value)
			}
		}
	}
	return out
}

func spellingsOf(id, secret string) []string {
	pair := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
	rawPair := id + ":" + secret
	spellings := []string{
		secret,
		url.QueryEscape(secret),
		url.PathEscape(secret),
		strings.ReplaceAll(url.QueryEscape(secret), "+", "%20"),
		strings.ToLower(url.QueryEscape(secret)),
	}
	for _, s := range []string{pair, rawPair, secret} {
		spellings = append(spellings,
			base64.StdEncoding.EncodeToString([]byte(s)),
			base64.RawStdEncoding.EncodeToString([]byte(s)),
			base64.URLEncoding.EncodeToString([]byte(s)),
		)
	}
	if quoted, err := json.Marshal(secret); err == nil {
		spellings = append(spellings, strings.Trim(string(quoted), `"`))
	}
	return spellings
}

// text returns s on one line, printable, without the secret and cut to maxText
// bytes. Scrubbing comes before cutting, or half a secret could stay.
func (s *scrubber) text(in string) string {
	in = s.replacer.Replace(in)
	in = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, in)
	in = s.replacer.Replace(in)
	if len(in) <= maxText {
		return in
	}
	cut := maxText
	for cut > 0 && !utf8.RuneStart(in[cut]) {
		cut--
	}
	return in[:cut] + "…"
}
