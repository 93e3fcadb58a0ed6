package settings

// nodeKind is what a node of a document is.
type nodeKind uint8

const (
	absent  nodeKind = iota // null, or nothing at all
	truth                   // true, false
	whole                   // a number without a fraction
	decimal                 // any other number
	text
	list
	mapping
)

// String says the kind in words, as problems do.
func (k nodeKind) String() string {
	return [...]string{"nothing", "true or false", "a whole number", "a number with a fraction", "text", "a list", "a mapping"}[k]
}

// node is a document, or a part of one, whether it was YAML or JSON.
type node struct {
	kind    nodeKind
	text    string // of a scalar, as it was written
	at      mark
	entries []entry // of a mapping, in the document's order, duplicates included
	items   []*node // of a list
}

// entry is one key of a mapping.
type entry struct {
	key   string
	at    mark // of the key
	value *node
}

// mark is a place in the file. Its zero value is no place.
type mark struct {
	line, column int
	// textLine is the file's line on which the first line of a multi-line text
	// stands, 0 when its lines do not stand in the file one by one.
	textLine int
}

// Limits of a document, far above what a configuration needs: nothing that is
// small on disk may grow large in memory.
const (
	maxFile  = 1 << 20 // bytes
	maxNodes = 100_000 // after aliases are resolved
	maxDepth = 64      // levels
)

// tooLarge is the reading error of a document that exceeds them.
type tooLarge struct{ message string }

func (e *tooLarge) Error() string { return e.message }
