package settings

import (
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// rule is what a key may hold. The documentation is made of it as well.
type rule struct {
	doc      string
	def      string // the default, as it would be written; for a list, its items between commas
	required bool
	min, max int64    // of a number; nanoseconds of a duration; characters of a text; items of a list. max 0 = the type's own
	enum     []string // the only values
	schemes  []string // of a URL; https alone when nil
	check    func(text string) (message string)
	want     string             // what is accepted, in words; made of the rest when ""
	each     string             // of a list: what an item accepts, in words
	when     func(*Export) bool // the key counts only then; otherwise it is ignored
	secret   bool               // a text that is not shown in problems
}

// maxText is the longest text of a key that names no limit of its own.
const maxText = 1000 // characters

var (
	secretType   = reflect.TypeFor[Secret]()
	urlType      = reflect.TypeFor[URL]()
	durationType = reflect.TypeFor[time.Duration]()
	prefixType   = reflect.TypeFor[netip.Prefix]()
	startType    = reflect.TypeFor[StartFrom]()
)

// scalar tells whether a value of the type is written as one word.
func scalar(t reflect.Type) bool {
	switch t {
	case secretType, urlType, durationType, prefixType, startType:
		return true
	}
	return t.Kind() != reflect.Struct && t.Kind() != reflect.Slice
}

// typeWord names a type for people.
func typeWord(t reflect.Type) string {
	switch t {
	case secretType:
		return "secret"
	case urlType:
		return "URL"
	case durationType:
		return "duration"
	case prefixType:
		return "network"
	case startType:
		return "start"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64:
		return "number"
	case reflect.Slice:
		return "list of " + typeWord(t.Elem()) + "s"
	case reflect.Struct:
		return "mapping"
	default:
		return "text"
	}
}

// wanted says in words what a key accepts.
func (ru *rule) wanted(t reflect.Type) string {
	if ru.want != "" {
		return ru.want
	}
	if len(ru.enum) > 0 {
		if len(ru.enum) == 1 {
			return ru.enum[0]
		}
		return "one of " + strings.Join(ru.enum, ", ")
	}
	switch t {
	case durationType:
		return fmt.Sprintf("%s to %s", shortDuration(time.Duration(ru.min)), shortDuration(time.Duration(ru.max)))
	case urlType:
		schemes := "https"
		if len(ru.schemes) > 0 {
			schemes = strings.Join(ru.schemes, " or ")
		}
		return fmt.Sprintf("a URL of 1 to %d characters, %s", ru.most(), schemes)
	case prefixType:
		return "an address or a network such as 10.0.0.0/8"
	case startType:
		return "latest, earliest or a time such as 2026-01-31T00:00:00Z"
	case secretType:
		return fmt.Sprintf("1 to %d characters", ru.most())
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return fmt.Sprintf("%d to %d", ru.min, ru.max)
	case reflect.Slice:
		item := ru.item()
		return fmt.Sprintf("%s times: %s", span(ru.min, ru.most()), item.wanted(t.Elem()))
	default:
		return span(ru.min, ru.most()) + " characters"
	}
}

// span says a range of numbers in words.
func span(least, most int64) string {
	if least == 0 {
		return fmt.Sprintf("up to %d", most)
	}
	return fmt.Sprintf("%d to %d", least, most)
}

// item is the rule of an item of a list.
func (ru *rule) item() rule {
	return rule{min: 1, check: ru.check, want: ru.each, schemes: ru.schemes, secret: ru.secret}
}

func (ru *rule) most() int64 {
	if ru.max > 0 {
		return ru.max
	}
	return maxText
}

// set reads one word into a value. The message says what is wrong with it,
// without quoting it; "" = nothing.
func (ru *rule) set(v reflect.Value, s string) (message string) {
	if strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
		return "holds a byte that is no text"
	}
	if len(ru.enum) > 0 && !contains(ru.enum, s) {
		return "is not a known value"
	}
	if ru.check != nil {
		if message := ru.check(s); message != "" {
			return message
		}
	}
	switch v.Type() {
	case secretType:
		if message := ru.length(s); message != "" {
			return message
		}
		if masked.MatchString(s) {
			return "is the mask of a secret, not the secret: enter it again"
		}
		v.Set(reflect.ValueOf(NewSecret(s)))
		return ""
	case urlType:
		if message := ru.length(s); message != "" {
			return message
		}
		schemes := ru.schemes
		if schemes == nil {
			schemes = []string{"https"}
		}
		u, message := parseURL(s, schemes...)
		if message == "" {
			v.Set(reflect.ValueOf(URL{parsed: u}))
		}
		return message
	case durationType:
		d, err := time.ParseDuration(s)
		if err != nil {
			return "is not a duration, which is a number and a unit (ms, s, m, h)"
		}
		if int64(d) < ru.min || int64(d) > ru.max {
			return "is out of range"
		}
		v.SetInt(int64(d))
		return ""
	case prefixType:
		p, ok := parsePrefix(s)
		if !ok {
			return "is not a network"
		}
		v.Set(reflect.ValueOf(p))
		return ""
	case startType:
		start, ok := parseStart(s)
		if !ok {
			return "is not a place to start from"
		}
		v.Set(reflect.ValueOf(start))
		return ""
	}
	switch v.Kind() {
	case reflect.Bool:
		if s != "true" && s != "false" {
			return "is neither true nor false"
		}
		v.SetBool(s == "true")
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(s, 10, 64)
		switch {
		case err != nil && !isRange(s):
			return "is not a whole number"
		case err != nil || n < ru.min || n > ru.max:
			return "is out of range"
		}
		v.SetInt(n)
	default:
		if message := ru.length(s); message != "" {
			return message
		}
		v.SetString(s)
	}
	return ""
}

// length checks the characters of a text.
func (ru *rule) length(s string) string {
	n := int64(utf8.RuneCountInString(s))
	switch {
	case n == 0 && ru.min > 0:
		return "is empty"
	case n < ru.min:
		return fmt.Sprintf("is too short with %d characters", n)
	case n > ru.most():
		return fmt.Sprintf("is too long with %d characters", n)
	}
	return ""
}

// isRange tells whether a text is a whole number that an int64 cannot hold.
func isRange(s string) bool {
	digits := strings.TrimLeft(s, "+-")
	return digits != "" && strings.Trim(digits, "0123456789") == ""
}

func parsePrefix(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), true
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	return netip.Prefix{}, false
}

// shortDuration leaves out the zeros that Duration.String appends.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
