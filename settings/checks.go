package settings

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
)

// only tells whether a text has no characters but these.
func only(s, characters string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(characters, r) })
}

// checkSinkID checks what becomes part of a consumer group and of labels.
func checkSinkID(s string) string {
	if !only(s, lower+digits+"-") {
		return "holds a character that an id may not have"
	}
	return ""
}

// checkEnvironmentID checks what becomes part of a dead letter's key and of
// the path of the API: it has no slash.
func checkEnvironmentID(s string) string { return checkKafkaName(s) }

func checkKafkaName(s string) string {
	if !only(s, lower+upper+digits+"._-") {
		return "holds a character that is not allowed"
	}
	return ""
}

// checkTopic checks a name by Kafka's rule.
func checkTopic(s string) string {
	if s == "." || s == ".." {
		return "is no name of a topic"
	}
	return checkKafkaName(s)
}

func checkBroker(s string) string {
	if strings.Contains(s, "://") || strings.ContainsAny(s, "/@") {
		return "is not host:port"
	}
	host, port, err := net.SplitHostPort(s)
	switch {
	case err != nil:
		return "is not host:port"
	case !hostName(host):
		return "names no host"
	case !portNumber(port, 1):
		return "has a port outside of 1 to 65535"
	}
	return ""
}

// hostName tells whether a text can be a name or an address.
func hostName(s string) bool {
	if strings.Contains(s, ":") {
		_, err := netip.ParseAddr(s)
		return err == nil
	}
	return s != "" && len(s) <= 253 && only(s, lower+upper+digits+"._-")
}

func portNumber(s string, least int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= least && n <= 65535 && only(s, digits)
}

func checkListen(s string) string {
	host, port, err := net.SplitHostPort(s)
	switch {
	case err != nil || host != "" && !hostName(host):
		return "is not host:port"
	case !portNumber(port, 0): // 0 = any free port
		return "has a port outside of 0 to 65535"
	}
	return ""
}

func checkLoopback(s string) string {
	if message := checkListen(s); message != "" {
		return message
	}
	host, _, _ := net.SplitHostPort(s)
	if a, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !a.IsLoopback()) {
		return "would show the process's memory to others: not a loopback address"
	}
	return ""
}

// checkUsername keeps a colon out of Basic authentication, where it would end
// the name.
func checkUsername(s string) string {
	switch {
	case strings.Contains(s, ":"):
		return "holds a colon"
	case strings.ContainsFunc(s, unicode.IsControl):
		return "holds a control character"
	}
	return ""
}

// checkIndex checks a name by the rules of Elasticsearch.
func checkIndex(s string) string {
	switch {
	case s == "." || s == "..":
		return "is no name of an index"
	case len(s) > 255:
		return "is longer than 255 bytes"
	case strings.ContainsAny(s, "\\/*?\"<>| ,#:"):
		return "holds a character that the name of an index may not have"
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }):
		return "holds a control character or a space"
	case strings.ToLower(s) != s:
		return "is not in lower case"
	case s != "" && strings.ContainsRune("-_+", rune(s[0])):
		return "starts with " + s[:1]
	}
	return ""
}

func checkDocType(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
		return "holds a space or a control character"
	}
	return ""
}

func checkService(s string) string {
	if u, err := url.Parse(s); err != nil || u.Scheme == "" || !strings.Contains(s, "://") {
		return "is not the URL of a notification service"
	}
	return ""
}
