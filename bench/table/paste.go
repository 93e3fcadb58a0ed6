package main

import (
	"bytes"
	"fmt"
	"os"
)

// pasteFile puts a file between the marks of a place in a document.
func pasteFile(document, from, place string) error {
	old, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	changed, err := pasted(old, text, place)
	if err != nil {
		return fmt.Errorf("%s: %w", document, err)
	}
	return os.WriteFile(document, changed, 0o644)
}

// pasted is the document with the text between the marks of the place, instead of what was there.
func pasted(document, text []byte, place string) ([]byte, error) {
	begin, end := fmt.Appendf(nil, "<!-- begin %s -->\n", place), fmt.Appendf(nil, "<!-- end %s -->", place)
	head, rest, ok := bytes.Cut(document, begin)
	_, tail, ok2 := bytes.Cut(rest, end)
	if !ok || !ok2 {
		return nil, fmt.Errorf("no line %q with a %q after it", bytes.TrimSpace(begin), end)
	}
	return bytes.Join([][]byte{head, begin, []byte("\n"), bytes.TrimSpace(text), []byte("\n\n"), end, tail}, nil), nil
}
