package session

// AppendCompact appends the validated document value without the whitespace
// between its tokens: on one line.
func AppendCompact(dst, value []byte) []byte {
	from, inside := 0, false
	for p := 0; p < len(value); p++ {
		switch c := value[p]; {
		case c == '"':
			inside = !inside
		case c == '\\':
			p++ // only inside a string: the next byte is no quote that ends it
		case c <= ' ' && !inside:
			dst = append(dst, value[from:p]...)
			from = p + 1
		}
	}
	return append(dst, value[from:]...)
}

// AppendJSONString appends decoded, which is valid UTF-8, as a JSON string with
// its quotes.
func AppendJSONString(dst, decoded []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range decoded {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < ' ' || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
