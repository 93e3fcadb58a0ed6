package batcher

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestZone(t *testing.T) {
	z := NewZone([]string{"easyTravel*", "APPLICATION-A8894472DACEDA0E", "*.shop.example", "a*b*c", "x**y"})
	for application, want := range map[string]bool{
		"easyTravel":                    true,
		"easyTravel mobile":             true,
		"easytravel":                    false, // case counts
		"my easyTravel":                 false,
		"APPLICATION-A8894472DACEDA0E":  true,
		"APPLICATION-A8894472DACEDA0E ": false,
		"www.shop.example":              true,
		".shop.example":                 true,
		"shop.example":                  false,
		"www.shop.example.org":          false,
		"abc":                           true,
		"aXbYc":                         true,
		"abcbc":                         true,
		"acb":                           false,
		"ac":                            false,
		"xy":                            true,
		"x-y":                           true,
		"x":                             false,
		"":                              false,
	} {
		if got := z.Match([]byte(application)); got != want {
			t.Errorf("%q in the zone: %v, want %v", application, got, want)
		}
	}
}

func TestZoneEdges(t *testing.T) {
	if NewZone(nil).Match([]byte("a")) || NewZone(nil).Match(nil) {
		t.Error("an empty zone matches")
	}
	if all := NewZone([]string{"*"}); !all.Match(nil) || !all.Match([]byte("a")) {
		t.Error("* does not match everything")
	}
	// The head and the tail of a pattern may not share bytes.
	if NewZone([]string{"aba*aba"}).Match([]byte("ababa")) {
		t.Error("the parts overlap")
	}
}

func TestZoneDoesNotAllocate(t *testing.T) {
	z, app := NewZone([]string{"easyTravel", "*shop*", "a*b"}), []byte("www.shop.example")
	if n := testing.AllocsPerRun(100, func() { z.Match(app) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzZone holds wildcards against regular expressions.
func FuzzZone(f *testing.F) {
	for _, seed := range [][2]string{
		{"easyTravel*", "easyTravel mobile"}, {"*", ""}, {"a*a", "a"}, {"*ab*ab*", "xababx"}, {"a.c", "abc"},
		{"**", "a\nb"}, {"aba*aba", "ababa"}, {"*aab", "aaab"}, {"", ""},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 100 || !utf8.ValidString(pattern) || !utf8.ValidString(text) {
			return // settings and scanner let valid UTF-8 through alone
		}
		parts := strings.Split(pattern, "*")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		oracle := regexp.MustCompile(`(?s)\A` + strings.Join(parts, ".*") + `\z`)
		if got, want := NewZone([]string{pattern}).Match([]byte(text)), oracle.MatchString(text); got != want {
			t.Errorf("%q matches %q: %v, want %v", pattern, text, got, want)
		}
	})
}
