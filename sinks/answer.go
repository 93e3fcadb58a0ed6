package sinks

import (
	"errors"
	"io"
	"sync"
)

// maxBulkAnswer bounds an answer to _bulk: 1000 items with an error of 16 KB each.
const maxBulkAnswer = 16 << 20 // bytes

// What can be wrong with an answer to _bulk. Errors of the connection are passed on as
// they are.
var (
	errNotBulk   = errors.New("not a bulk answer")
	errCutShort  = errors.New("answer cut short")
	errTooLong   = errors.New("answer longer than 16 MiB")
	errItemCount = errors.New("bulk answer with another number of items than was sent")
)

// bulkAnswer is what an answer to _bulk says.
type bulkAnswer struct {
	hasErrors bool // "errors" is there
	errors    bool
	hasItems  bool // "items" is there
	items     int
	failed    []ItemVerdict // items that were not accepted; reasons are not scrubbed yet
	conflicts int
	// Of a request that failed as a whole.
	errorType, errorReason string
}

// answerReader reads an answer to _bulk as a stream, in constant memory. When all
// is well it does not allocate: each good item is recognised and forgotten. Items
// that are like the last good one, and nearly all of them are, are not even
// looked into.
type answerReader struct {
	src   io.Reader
	buf   [32 << 10]byte
	pos   int
	end   int
	total int
	fills int // how often the buffer was filled anew: positions from before are void

	begin    [maxExcerpt * 2]byte // the answer's first bytes
	beginLen int

	like   likeness
	token  [128]byte       // names, numbers, error types
	reason [maxReason]byte // error reasons
	cause  [maxCause]byte  // the reason of what caused the error
	causes int
}

// maxReason bounds an item's reason, maxCause the part of it that the cause may take.
const (
	maxReason = 256 // bytes
	maxCause  = 112 // bytes
)

var answerReaders = sync.Pool{New: func() any { return new(answerReader) }}

// read reads the whole answer. The error is errNotBulk, errCutShort, errTooLong or
// that of src. What was read until then is in the result.
func (a *answerReader) read(src io.Reader, create bool) (bulkAnswer, error) {
	a.src, a.pos, a.end, a.total, a.fills, a.beginLen = src, 0, 0, 0, 0, 0
	a.like.forget()
	defer func() { a.src = nil }()
	var out bulkAnswer
	if err := a.readTop(&out, create); err != nil {
		return out, err
	}
	// Up to the end: only then can the connection be used again.
	switch _, err := a.next(); {
	case errors.Is(err, errCutShort):
		return out, nil
	case err != nil:
		return out, err
	default:
		return out, errNotBulk
	}
}

// head returns the answer's first bytes.
func (a *answerReader) head() []byte { return a.begin[:a.beginLen] }

func (a *answerReader) readTop(out *bulkAnswer, create bool) error {
	return a.object(func(name []byte) error {
		switch string(name) {
		case "errors":
			var err error
			out.hasErrors = true
			out.errors, err = a.boolean()
			return err
		case "items":
			if out.hasItems {
				return errNotBulk
			}
			out.hasItems = true
			return a.readItems(out, create)
		case "error":
			t, r, err := a.readError()
			out.errorType, out.errorReason = string(t), string(r)
			return err
		default:
			return a.skip(0)
		}
	})
}

func (a *answerReader) readItems(out *bulkAnswer, create bool) error {
	return a.array(func() error {
		if n := a.like.match(a.buf[a.pos:a.end]); n > 0 {
			a.pos += n
			out.items++
			return nil
		}
		return a.readItem(out, create)
	})
}

// readItem reads {"index":{…,"status":201,"error":{…}}}, or "create" likewise.
func (a *answerReader) readItem(out *bulkAnswer, create bool) error {
	start, fills := a.pos, a.fills
	a.like.begin(start)
	var (
		status, operations   int
		errorType, errReason []byte
	)
	err := a.object(func([]byte) error {
		operations++
		return a.object(func(name []byte) error {
			var err error
			switch string(name) {
			case "status":
				status, err = a.integer()
			case "error":
				errorType, errReason, err = a.readError()
			default:
				err = a.skip(0)
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	if operations != 1 || status == 0 {
		return errNotBulk
	}
	index := out.items
	out.items++
	kind, conflict := judgeItem(status, string(errorType), create)
	if conflict {
		out.conflicts++
	}
	if kind != Delivered {
		out.failed = append(out.failed, ItemVerdict{
			Index: index, Kind: kind, Status: status, Type: safeType(errorType), Reason: a.because(errReason),
		})
		return nil
	}
	if !conflict && fills == a.fills {
		a.like.learn(a.buf[start:a.pos])
	}
	return nil
}

// readError reads an error: an object with type and reason, or, of old versions
// and proxies, a text. The results are the reader's own memory, until the next error.
func (a *answerReader) readError() (errorType, reason []byte, err error) {
	a.causes = 0
	c, err := a.next()
	if err != nil {
		return nil, nil, err
	}
	if c != '{' {
		if c != '"' {
			return nil, nil, a.skip(0)
		}
		n, err := a.text(a.reason[:])
		return nil, a.reason[:n], err
	}
	var types, reasons int
	err = a.object(func(name []byte) error {
		var err error
		switch string(name) {
		case "type":
			if types, err = a.optionalText(a.token[len(a.token)/2:]); err != nil {
				return err
			}
		case "reason":
			if reasons, err = a.optionalText(a.reason[:]); err != nil {
				return err
			}
		case "caused_by":
			return a.readCause()
		default:
			return a.skip(0)
		}
		return nil
	})
	return a.token[len(a.token)/2:][:types], cutRune(a.reason[:reasons]), err
}

// readCause reads the reason of an error's cause.
func (a *answerReader) readCause() error {
	if c, err := a.next(); err != nil || c != '{' {
		if err != nil {
			return err
		}
		return a.skip(0)
	}
	return a.object(func(name []byte) error {
		if string(name) != "reason" {
			return a.skip(0)
		}
		var err error
		a.causes, err = a.optionalText(a.cause[:])
		return err
	})
}

// because joins the reason of the latest error with that of its cause. Elasticsearch
// from 8 on tells only there that a term is too long, and every version why a date is none.
func (a *answerReader) because(reason []byte) string {
	const joint = " (caused by: "
	cause := cutRune(a.cause[:a.causes])
	if len(cause) == 0 {
		return string(reason)
	}
	return string(cutRune(reason[:min(len(reason), maxReason-len(joint)-len(cause)-1)])) + joint + string(cause) + ")"
}

// safeType lets through what a type looks like. Anything else could be a document.
func safeType(t []byte) string {
	for _, c := range t {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return "other"
		}
	}
	return string(t)
}
