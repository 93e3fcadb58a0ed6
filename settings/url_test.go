package settings

import (
	"net/url"
	"strings"
	"testing"
)

func TestRedactURL(t *testing.T) {
	for text, want := range map[string]string{
		"https://h.example/w1":                       "https://h.example/w1",
		"https://h.example:9200/p/_bulk?pipeline=x":  "https://h.example:9200/p/_bulk?pipeline=***",
		"https://h.example/?a=1&b=&c":                "https://h.example/?a=***&b=***&***",
		"https://user:pw@h.example/":                 "https://***@h.example/",
		"https://user@h.example/":                    "https://***@h.example/",
		"https://h.example/a%2Fb?sig=%2F%26x#secret": "https://h.example/a%2Fb?sig=***",
		"mailto:user:pw@h.example":                   "mailto:***",
		"//h.example/x":                              "//h.example/x",
		"https:///x":                                 "https:///x",
		"":                                           "",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := RedactURL(u); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if RedactURL(nil) != "" {
		t.Error("no address is not empty")
	}
}

func TestParseURL(t *testing.T) {
	for text, want := range map[string]string{
		"https://h.example":                "",
		"https://h.example:9200/_bulk?a=b": "",
		"https://[::1]:9200/":              "",
		"HTTPS://h.example/":               "",
		"http://h.example/":                "only HTTPS",
		"h.example/w1":                     "only HTTPS",
		"h.example:9200":                   "only HTTPS",
		"ftp://h.example":                  "only HTTPS",
		"https:h.example":                  "names no host",
		"https://":                         "names no host",
		"https://:443/":                    "names no host",
		"https://h.example:/":              "port",
		"https://h.example:0/":             "port",
		"https://h.example:65536/":         "port",
		"https://h.example:x/":             "is not a URL",
		"https://u@h.example/":             "user or password",
		"https://u:hunter2@h.example/":     "user or password",
		"https://@h.example/":              "user or password",
		"https://h.example/#":              "fragment",
		"https://h.example/#hunter2":       "fragment",
		"https://h.example/a b":            "space",
		"https://h.example/\r\nX: y":       "space",
		"https://h.example/%zz":            "is not a URL",
	} {
		u, message := parseURL(text, "https")
		if (want == "") != (message == "") || !strings.Contains(message, want) {
			t.Errorf("%q: %q, want %q", text, message, want)
		}
		if (u == nil) != (message != "") {
			t.Errorf("%q: %v with message %q", text, u, message)
		}
		if strings.Contains(message+showURL(text), "hunter2") {
			t.Errorf("%q: gives the password away: %q, %q", text, message, showURL(text))
		}
	}
}
