package settings

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

// versionKey keys the versions of credentials. It is drawn anew by every
// process, so that a fingerprint tells whether a secret changed and nothing
// that would help to guess it.
var versionKey = func() []byte {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the program instead
	return key
}()

// Fingerprint identifies everything that an export does: two are the same
// when, and only when, their settings, secrets, certificates and management
// zones are. It compares within one process; it never holds a secret.
func (e *Export) Fingerprint() string {
	w := canonical{hash: sha256.New(), keyed: true}
	w.value("export", reflect.ValueOf(e).Elem())
	w.material(e.Custom.material)
	return hex.EncodeToString(w.hash.Sum(nil))
}

// Hash identifies the configuration in metrics: the same in every process that
// runs on the same settings. Secrets and the contents of certificate files do
// not count.
func (f *File) Hash() string {
	w := canonical{hash: sha256.New()}
	w.value("file", reflect.ValueOf(f).Elem())
	return hex.EncodeToString(w.hash.Sum(nil))[:16]
}

// canonical writes values in one form only: name, length and text of every
// field, in the order of the type.
type canonical struct {
	hash  hash.Hash
	keyed bool // secrets count, as keyed hashes
}

func (w canonical) word(name, text string) {
	_, _ = fmt.Fprintf(w.hash, "%s %d:%s\n", name, len(text), text)
}

func (w canonical) secret(name, text string) {
	if !w.keyed || text == "" {
		w.word(name, strconv.FormatBool(text != ""))
		return
	}
	mac := hmac.New(sha256.New, versionKey)
	_, _ = mac.Write([]byte(text))
	w.word(name, string(mac.Sum(nil)))
}

func (w canonical) value(name string, v reflect.Value) {
	switch x := v.Interface().(type) {
	case Secret:
		w.secret(name, x.Reveal())
		return
	case URL:
		// The query may carry a key.
		u := x.Parsed()
		if u != nil {
			w.secret(name+"?", u.RawQuery)
			u.RawQuery = ""
		}
		w.word(name, urlText(u))
		return
	case fmt.Stringer:
		w.word(name, x.String())
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			switch {
			case !f.IsExported(), f.Name == "CustomConfiguration": // it counts as what it says
			case w.keyed && strings.HasSuffix(f.Name, "File"): // what is in the file counts
			default:
				w.value(name+"."+f.Name, v.Field(i))
			}
		}
	case reflect.Slice:
		w.word(name, strconv.Itoa(v.Len()))
		for i := range v.Len() {
			w.value(name+"[]", v.Index(i))
		}
	case reflect.Pointer:
		w.word(name, strconv.FormatBool(!v.IsNil()))
		if !v.IsNil() {
			w.value(name, v.Elem())
		}
	default:
		w.word(name, fmt.Sprint(v.Interface()))
	}
}

func (w canonical) material(m *Material) {
	m = orEmpty(m)
	w.secret("ca", string(m.ca))
	w.secret("pair", string(m.pair))
}

func urlText(u *url.URL) string {
	if u == nil {
		return ""
	}
	return strings.TrimSuffix(u.String(), "?")
}
