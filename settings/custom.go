package settings

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// The values of the custom configuration that are words.
const (
	CompressionNone = "none"
	CompressionGzip = "gzip"

	BodyLines = "lines"
	BodyArray = "array"

	OpIndex  = "index"
	OpCreate = "create"

	FailHold       = "hold"
	FailDeadLetter = "dead-letter"
	FailDiscard    = "discard"

	HTTPAuto = "auto"
	HTTP11   = "1.1"
)

// Custom is what the lines of the custom configuration say, with defaults.
type Custom struct {
	MaxSessions       int           `key:"maxSessions"`
	MaxBytes          int           `key:"maxBytes"` // of the body before compression
	IdleTimeout       time.Duration `key:"idleTimeout"`
	MaxBatchAge       time.Duration `key:"maxBatchAge"`
	RequestTimeout    time.Duration `key:"requestTimeout"`
	MaxRetries        int           `key:"maxRetries"` // after the first attempt
	InitialBackoff    time.Duration `key:"initialBackoff"`
	MaxBackoff        time.Duration `key:"maxBackoff"`
	MaxInFlight       int           `key:"maxInFlight"` // batches
	Compression       string        `key:"compression"`
	BodyFormat        string        `key:"bodyFormat"`
	OpType            string        `key:"opType"`
	OnFailure         string        `key:"onFailure"`
	StartFrom         StartFrom     `key:"startFrom"`
	CAFile            string        `key:"caFile"`
	CertFile          string        `key:"certFile"`
	KeyFile           string        `key:"keyFile"`
	HTTPVersion       string        `key:"httpVersion"`
	SigningSecretFile string        `key:"signingSecretFile"`

	Headers       []Header // in the order of the lines
	SigningSecret Secret   // what SigningSecretFile holds

	material *Material
}

// Header is one header of every request. Its value counts as a secret,
// wherever it stands.
type Header struct {
	Name     string // in canonical form
	Value    Secret
	FromFile bool // the value was read from a secret file
}

// Material is what caFile, certFile and keyFile hold; never nil.
func (c *Custom) Material() *Material { return orEmpty(c.material) }

// SigningKey returns the key of webhook signatures, decoded; nil = requests
// are not signed.
func (c *Custom) SigningKey() []byte {
	key, _ := signingKey(c.SigningSecret.Reveal())
	return key
}

const (
	// maxBodies bounds the bodies that one sink holds, (maxInFlight + 1) *
	// maxBytes: 128 MiB.
	maxBodies = 128 << 20 // bytes

	// A signing key has 24 to 64 bytes. Source: Standard Webhooks, "Signature
	// scheme".
	signingPrefix = "whsec_"
	minSigningKey = 24
	maxSigningKey = 64
)

// customRules says of every key of the custom configuration what it may hold.
var customRules = map[string]rule{
	"maxSessions":    {def: "1000", min: 1, max: 10_000, doc: "Sessions in a batch."},
	"maxBytes":       {def: "896000", min: 1 << 10, max: 16 << 20, doc: "Bytes in a body before compression. A single larger session travels alone. `(maxInFlight + 1) * maxBytes` must not exceed 128 MiB."},
	"idleTimeout":    {def: "30s", min: int64(100 * time.Millisecond), max: int64(10 * time.Minute), doc: "A batch leaves when no session came for so long."},
	"maxBatchAge":    {def: "5m", min: int64(100 * time.Millisecond), max: int64(time.Hour), doc: "A batch leaves at this age, however slowly it fills."},
	"requestTimeout": {def: "30s", min: int64(time.Second), max: int64(5 * time.Minute), doc: "Time for one attempt: token, connection, request and answer."},
	"maxRetries":     {def: "3", min: 0, max: 10, doc: "Further attempts after the first."},
	"initialBackoff": {def: "2s", min: int64(100 * time.Millisecond), max: int64(time.Minute), doc: "Pause before the first retry; each further one is four times as long, with full jitter."},
	"maxBackoff":     {def: "30s", min: int64(100 * time.Millisecond), max: int64(10 * time.Minute), doc: "Longest pause between attempts. Not below `initialBackoff`."},
	"maxInFlight":    {def: "4", min: 1, max: 16, doc: "Batches on their way at the same time. 1 keeps strict order."},
	"compression":    {def: CompressionNone, enum: []string{CompressionNone, CompressionGzip}, doc: "Compression of bodies."},
	"bodyFormat":     {def: BodyLines, enum: []string{BodyLines, BodyArray}, doc: "One document a line, or one JSON array. `array` needs `contentType: application/json`."},
	"opType":         {def: OpIndex, enum: []string{OpIndex, OpCreate}, doc: "Operation of the action lines; data streams need `create`, which puts `@timestamp` in front. `create` needs `sendDirect`."},
	"onFailure":      {def: FailHold, enum: []string{FailHold, FailDeadLetter, FailDiscard}, doc: "What follows when retries are used up: wait and probe, give the batch to the dead letters, or drop it. `discard` loses sessions."},
	"startFrom":      {def: "latest", doc: "Where the very first start begins to read. Later starts go on where the last one stopped."},
	"caFile":         {min: 1, want: "the name of a PEM file", doc: "Certificates of the authority that signed the endpoint's one; they replace the system's roots."},
	"certFile":       {min: 1, want: "the name of a PEM file", doc: "Client certificate. Needs `keyFile`."},
	"keyFile":        {min: 1, want: "the name of a PEM file", doc: "Its private key, not encrypted. Needs `certFile`."},
	"httpVersion":    {def: HTTP11, enum: []string{HTTP11, HTTPAuto}, doc: "HTTP/1.1 alone, with a connection for each batch on its way, or HTTP/2 where the endpoint offers it."},

	"signingSecretFile": {min: 1, want: "the name of a secret file with 24 to 64 bytes in base64, which may start with whsec_", doc: "Signs requests as Standard Webhooks do. The file is a secret file. Not with `sendDirect`."},
}

// mistake is what is wrong with a line of a custom configuration.
type mistake struct {
	line       int // from 1; 0 = no line of its own
	key, value string
	message    string
	want       string
}

// customReader reads a custom configuration.
type customReader struct {
	place    Place
	export   *Export
	out      Custom
	lines    map[string]int // of the keys that were given
	mistakes []mistake
}

// parseCustom reads the lines of an export's custom configuration. The other
// settings of the export decide what they may say.
func parseCustom(config string, e *Export, p Place) (Custom, []mistake) {
	r := customReader{place: p, export: e, lines: map[string]int{}}
	v := reflect.ValueOf(&r.out).Elem()
	byKey := map[string]reflect.Value{}
	for _, f := range fields(v.Type()) {
		key := f.Tag.Get("key")
		byKey[key] = v.FieldByIndex(f.Index)
		if ru := customRules[key]; ru.def != "" {
			_ = ru.set(byKey[key], ru.def) // a test sets every default
		}
	}
	number := 0
	for line := range strings.Lines(config) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		r.line(number, line, byKey)
	}
	r.together()
	return r.out, r.mistakes
}

func (r *customReader) wrong(line int, key, value, message, want string) {
	r.mistakes = append(r.mistakes, mistake{line, key, value, message, want})
}

// line reads one key and its value.
func (r *customReader) line(number int, line string, byKey map[string]reflect.Value) {
	key, value, ok := strings.Cut(line, "=")
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	if !ok || key == "" {
		// Not quoted: it may be the rest of a secret.
		r.wrong(number, "", "", "is no key=value", "key=value, or # before a comment")
		return
	}
	name, header := strings.CutPrefix(key, "header.")
	identity := key
	if header {
		identity = "header." + canonicalHeader(name)
	}
	if first, twice := r.lines[identity]; twice {
		r.wrong(number, plainKey(key), "", fmt.Sprintf("is there twice, first on line %d", first), "one of them")
		return
	}
	r.lines[identity] = number
	if header {
		r.header(number, name, value)
		return
	}
	v, known := byKey[key]
	if !known {
		want := "one of " + strings.Join(CustomKeys(), ", ")
		if near := nearest(key, CustomKeys()); near != "" {
			want = near
		}
		// The value is not shown: a misspelt header may carry a secret.
		r.wrong(number, plainKey(key), "", "is not a known key", want)
		return
	}
	ru := customRules[key]
	if message := ru.set(v, value); message != "" {
		r.wrong(number, key, shownValue(v.Type(), value, ru), message, ru.wanted(v.Type()))
	}
}

// CustomKeys lists the keys of the custom configuration.
func CustomKeys() []string {
	var keys []string
	for _, f := range fields(reflect.TypeFor[Custom]()) {
		keys = append(keys, f.Tag.Get("key"))
	}
	return append(keys, "header.<Name>")
}

// together checks what lines mean in company, and reads the files they name.
func (r *customReader) together() {
	c := &r.out
	if c.MaxBackoff < c.InitialBackoff {
		key := "maxBackoff"
		if r.lines[key] == 0 {
			key = "initialBackoff"
		}
		r.wrong(r.lines[key], key, "", fmt.Sprintf("sets the longest pause (%s) below the first (%s)", shortDuration(c.MaxBackoff), shortDuration(c.InitialBackoff)), "initialBackoff up to maxBackoff")
	}
	if bodies := (c.MaxInFlight + 1) * c.MaxBytes; bodies > maxBodies {
		r.wrong(r.lines["maxBytes"], "maxBytes", "", fmt.Sprintf("lets the sink hold %d bytes: (maxInFlight + 1) * maxBytes", bodies), fmt.Sprintf("a product of up to %d", maxBodies))
	}
	e := r.export
	if c.BodyFormat == BodyArray && (e.EndpointDefinition.ContentType != JSON || e.SendDirect.Active) {
		r.wrong(r.lines["bodyFormat"], "bodyFormat", "", "is array, which only application/json can be", BodyLines+", or contentType "+JSON)
	}
	if c.OpType == OpCreate && !e.SendDirect.Active {
		r.wrong(r.lines["opType"], "opType", "", "is create, which only sendDirect knows", OpIndex+", or sendDirect")
	}
	if line := r.lines["signingSecretFile"]; line > 0 && c.SigningSecretFile != "" {
		r.signing(line)
	}
	base := r.place.Folder
	if r.place.Origin == FromAPI {
		base = r.place.SecretsDir
	}
	c.material = loadMaterial(r.place, base, c.CAFile, c.CertFile, c.KeyFile, func(key, message string) {
		r.wrong(r.lines[key], key, "", message, "")
	})
}

func (r *customReader) signing(line int) {
	const key = "signingSecretFile"
	if r.export.SendDirect.Active {
		r.wrong(line, key, "", "signs webhooks, which sendDirect does not send", "no signature, or no sendDirect")
		return
	}
	secret, message := r.place.secret(r.out.SigningSecretFile)
	if message == "" {
		if _, ok := signingKey(secret.Reveal()); !ok {
			message = "names " + r.place.shown(r.place.SecretsDir, r.out.SigningSecretFile) + ", which holds no signing key"
		}
	}
	if message != "" {
		r.wrong(line, key, "", message, customRules[key].want)
		return
	}
	r.out.SigningSecret = secret
}

// signingKey decodes a key of Standard Webhooks: base64, with or without its
// usual prefix.
func signingKey(text string) ([]byte, bool) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.TrimSpace(text), signingPrefix))
	if err != nil || len(key) < minSigningKey || len(key) > maxSigningKey {
		return nil, false
	}
	return key, true
}
