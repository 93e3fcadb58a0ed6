package settings

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
)

// VariablePrefix begins the name of every environment variable.
const VariablePrefix = "SESSION_EXPORT_"

// Variable is the name of the environment variable of a key: its path in
// capitals, with underscores between words. Keys under environments have none.
func Variable(path string) string {
	if path == "environments" || strings.HasPrefix(path, "environments[") {
		return ""
	}
	var b strings.Builder
	b.WriteString(VariablePrefix)
	previous := '.'
	for _, c := range path {
		switch {
		case c == '.':
			b.WriteByte('_')
		case unicode.IsUpper(c) && previous != '.':
			b.WriteByte('_')
			b.WriteRune(c)
		default:
			b.WriteRune(unicode.ToUpper(c))
		}
		previous = c
	}
	return b.String()
}

// lookup returns the value of a key's variable. An empty one counts as unset.
func (r *reader) lookup(at spot) (value string, ok bool) {
	name := Variable(at.rule)
	if name == "" {
		return "", false
	}
	value, ok = r.variable(name)
	if !ok || value == "" {
		return "", false
	}
	r.found[at.path] = location{variable: name}
	return value, true
}

// scalar reads one word.
func (r *reader) scalar(v reflect.Value, n *node, at spot, ru rule) {
	if value, ok := r.lookup(at); ok {
		r.set(v, value, at, ru)
		return
	}
	if n == nil || n.kind == absent {
		if ru.required {
			r.problem(at.path, "", "is missing", ru.wanted(v.Type()))
		} else if ru.def != "" {
			_ = ru.set(v, ru.def) // a test sets every default
		}
		return
	}
	if word, ok := r.word(v.Type(), n, at, ru); ok {
		r.set(v, word, at, ru)
	}
}

// word returns the text of a scalar of the right kind.
func (r *reader) word(t reflect.Type, n *node, at spot, ru rule) (string, bool) {
	want := text
	switch {
	case t == durationType:
	case t.Kind() == reflect.Bool:
		want = truth
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		want = whole
	}
	if n.kind == want {
		return n.text, true
	}
	wanted := ru.wanted(t)
	if want == text && n.kind < list {
		if t == secretType || ru.secret {
			wanted = "text, in quotes"
		} else {
			wanted = fmt.Sprintf("text, in quotes: %q", n.text)
		}
		r.problem(at.path, "", "is "+n.kind.String(), wanted)
		return "", false
	}
	value := ""
	if n.kind > absent && n.kind < list {
		value = shownValue(t, n.text, ru)
	}
	r.problem(at.path, value, "is "+n.kind.String(), wanted)
	return "", false
}

// set reads a word into a value and reports what is wrong with it.
func (r *reader) set(v reflect.Value, word string, at spot, ru rule) {
	if message := ru.set(v, word); message != "" {
		r.problem(at.path, shownValue(v.Type(), word, ru), message, ru.wanted(v.Type()))
	}
}

// shownValue renders what was given, unless that could give a secret away.
func shownValue(t reflect.Type, word string, ru rule) string {
	switch {
	case word == "":
		return `""`
	case t == secretType || ru.secret:
		return Mask
	case t == urlType:
		return quote(showURL(word))
	case strings.Contains(word, "://") || strings.Contains(word, "@"):
		return quote(showURL(word))
	default:
		return quote(word)
	}
}

// scalars reads a list of words.
func (r *reader) scalars(v reflect.Value, n *node, at spot, ru rule) {
	var words []string
	if value, ok := r.lookup(at); ok {
		for item := range strings.SplitSeq(value, ",") {
			if item = strings.TrimSpace(item); item != "" {
				words = append(words, item)
			}
		}
	} else if n != nil && n.kind != absent {
		if n.kind != list {
			r.problem(at.path, "", "is "+n.kind.String(), "a list")
			return
		}
		for i, item := range n.items {
			key := at.item(i)
			r.found[key.path] = location{mark: item.at}
			word, ok := r.word(v.Type().Elem(), item, key, ru.item())
			if !ok {
				return
			}
			words = append(words, word)
		}
	} else if ru.def != "" {
		words = strings.Split(ru.def, ",")
	}
	r.items(v, words, at, ru)
}

// items reads words into a list.
func (r *reader) items(v reflect.Value, words []string, at spot, ru rule) {
	if n := int64(len(words)); n < ru.min || n > ru.most() {
		message := fmt.Sprintf("has %d items", n)
		if n == 0 {
			message = "is empty"
			if !r.given(at.path) {
				message = "is missing"
			}
		}
		r.problem(at.path, "", message, ru.wanted(v.Type()))
		return
	}
	each := ru.item()
	out := reflect.MakeSlice(v.Type(), len(words), len(words))
	seen := map[string]bool{}
	for i, word := range words {
		key := at.item(i)
		if seen[word] {
			r.problem(key.path, shownValue(v.Type().Elem(), word, each), "is there twice", "each once")
		}
		seen[word] = true
		r.set(out.Index(i), word, key, each)
	}
	if len(words) > 0 {
		v.Set(out)
	}
}

// secrets reads a secret, or a list of them, from the key or from the file
// that the key's twin names.
func (r *reader) secrets(v reflect.Value, parent, n *node, at spot, ru rule) {
	single := v.Type() == secretType
	twin := spot{at.path + "File", at.rule + "File"}
	var twinNode *node
	if r.place.Origin == FromFile {
		twinNode = parent.child(lastKey(twin.path))
	}
	if twinNode != nil && twinNode.kind != absent {
		r.found[twin.path] = location{mark: twinNode.at}
	}
	value, fromVariable := r.lookup(at)
	name, named := r.lookup(twin)
	switch {
	case fromVariable && named:
		r.problem(at.path, Mask, "is given together with "+Variable(twin.rule), "one of them")
		return
	case fromVariable:
		// The variables win over both keys of the file.
		delete(r.found, twin.path)
		if single {
			r.set(v, value, at, ru)
		} else {
			r.scalars(v, nil, at, ru)
		}
		return
	case named:
		delete(r.found, at.path)
	case twinNode != nil && twinNode.kind != absent:
		if n != nil && n.kind != absent {
			r.problem(twin.path, "", "is given together with "+lastKey(at.path), "one of them")
			return
		}
		var ok bool
		if name, ok = r.word(stringType, twinNode, twin, rule{want: "the name of a file"}); !ok {
			return
		}
		if name == "" {
			r.problem(twin.path, `""`, "names no file", "the name of a file")
			return
		}
		named = true
	}
	if !named {
		switch {
		case !single:
			r.scalars(v, n, at, ru)
		case ru.required && (n == nil || n.kind == absent):
			want := ru.wanted(v.Type())
			if r.place.Origin == FromFile {
				want = "it, or " + lastKey(twin.path)
			}
			r.problem(at.path, "", "is missing", want)
		default:
			r.scalar(v, n, at, ru)
		}
		return
	}
	r.secretFile(v, name, twin, ru, single)
}

// secretFile reads a secret, or one a line, from a file.
func (r *reader) secretFile(v reflect.Value, name string, twin spot, ru rule, single bool) {
	secret, message := r.place.secret(name)
	if message != "" {
		r.problem(twin.path, "", message, "a readable file that holds the secret")
		return
	}
	if single {
		if message := ru.set(v, secret.Reveal()); message != "" {
			r.problem(twin.path, "", "names "+r.place.shown(r.place.SecretsDir, name)+", whose content "+message, ru.wanted(v.Type()))
		}
		return
	}
	var words []string
	for line := range strings.Lines(secret.Reveal()) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			words = append(words, line)
		}
	}
	r.items(v, words, twin, ru)
}

var stringType = reflect.TypeFor[string]()

func lastKey(path string) string {
	return path[strings.LastIndexByte(path, '.')+1:]
}
