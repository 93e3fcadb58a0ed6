package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestDocumentShowsTheCode holds the code in docs/receivers.md against this folder.
func TestDocumentShowsTheCode(t *testing.T) {
	code := content(t, "receiver.go")
	_, rest, _ := strings.Cut(content(t, filepath.Join("..", "..", "docs", "receivers.md")), "```go\n")
	shown, _, found := strings.Cut(rest, "```")
	if !found || len(shown) < 500 || !strings.Contains(code, shown) {
		t.Errorf("docs/receivers.md shows other code than receiver.go has:\n%s", shown)
	}
}
