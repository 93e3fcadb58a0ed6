package settings

import (
	"fmt"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"
)

const (
	maxHeaders     = 32   // headers of an export
	maxHeaderName  = 100  // bytes
	maxHeaderValue = 4096 // bytes; servers commonly take 8 KB of headers in all
)

func canonicalHeader(name string) string { return textproto.CanonicalMIMEHeaderKey(name) }

// reservedHeader says why a header is not for the configuration to set.
func reservedHeader(name string) string {
	switch name = strings.ToLower(name); {
	case name == "host", name == "transfer-encoding", name == "connection", name == "te", name == "trailer",
		name == "upgrade", name == "keep-alive", name == "proxy-connection", name == "proxy-authorization", name == "expect",
		name == "accept-encoding", strings.HasPrefix(name, "content-"):
		return "belongs to the connection or the body"
	case strings.HasPrefix(name, "webhook-"), name == "idempotency-key", name == "session-export-test":
		return "is set by the service itself"
	}
	return ""
}

// header reads header.<Name>=value.
func (r *customReader) header(line int, name, value string) {
	const valid = "a header's name, such as header.X-Api-Key"
	key := "header." + strings.Trim(plainKey(name), `"`)
	switch {
	case len(name) > maxHeaderName || !httpguts.ValidHeaderFieldName(name):
		r.wrong(line, "header.<Name>", "", "is not the name of a header", valid)
		return
	case reservedHeader(name) != "":
		r.wrong(line, key, "", reservedHeader(name)+": it cannot be set here", "another header")
		return
	case len(r.out.Headers) >= maxHeaders:
		r.wrong(line, key, "", fmt.Sprintf("is one header more than %d", maxHeaders), "")
		return
	}
	authorization := strings.EqualFold(name, "Authorization")
	if authorization && r.export.Authentication.Active {
		r.wrong(line, key, "", "is set by authentication, which is active", "one of the two")
		return
	}
	h := Header{Name: canonicalHeader(name)}
	if file, ok := strings.CutPrefix(value, "@"); ok {
		secret, message := r.place.secret(file)
		if message != "" {
			r.wrong(line, key, "", message, "@ and the name of a secret file")
			return
		}
		h.Value, h.FromFile = secret, true
	} else if authorization {
		r.wrong(line, key, Mask, "stands in the open", "@ and the name of a secret file")
		return
	} else {
		h.Value = NewSecret(value)
	}
	switch v := h.Value.Reveal(); {
	case v == "":
		r.wrong(line, key, `""`, "is empty", fmt.Sprintf("1 to %d bytes, or @ and the name of a secret file", maxHeaderValue))
	case len(v) > maxHeaderValue || !httpguts.ValidHeaderFieldValue(v):
		r.wrong(line, key, Mask, "is not the value of a header", fmt.Sprintf("1 to %d bytes without line breaks", maxHeaderValue))
	default:
		r.out.Headers = append(r.out.Headers, h)
	}
}
