package demo

import "strconv"

// document writes JSON without building anything first: every method appends.
type document struct {
	bytes []byte
}

// name appends a member's name, with the comma that parts it from the member
// before. The name needs no escaping.
func (d *document) name(name string) {
	d.comma()
	d.bytes = append(d.bytes, '"')
	d.bytes = append(d.bytes, name...)
	d.bytes = append(d.bytes, '"', ':')
}

func (d *document) comma() {
	if last := d.bytes[len(d.bytes)-1]; last != '{' && last != '[' {
		d.bytes = append(d.bytes, ',')
	}
}

func (d *document) open(name string, bracket byte) {
	d.name(name)
	d.bytes = append(d.bytes, bracket)
}

func (d *document) openElement() {
	d.comma()
	d.bytes = append(d.bytes, '{')
}

func (d *document) close(bracket byte) { d.bytes = append(d.bytes, bracket) }

// text appends a string member; the value is escaped already.
func (d *document) text(name, escaped string) {
	d.name(name)
	d.bytes = append(d.bytes, '"')
	d.bytes = append(d.bytes, escaped...)
	d.bytes = append(d.bytes, '"')
}

func (d *document) number(name string, v int) {
	d.name(name)
	d.bytes = strconv.AppendInt(d.bytes, int64(v), 10)
}

func (d *document) fraction(name string, v float64, digits int) {
	d.name(name)
	d.bytes = strconv.AppendFloat(d.bytes, v, 'f', digits, 64)
}

func (d *document) flag(name string, v bool) {
	d.name(name)
	d.bytes = strconv.AppendBool(d.bytes, v)
}

func (d *document) null(name string) {
	d.name(name)
	d.bytes = append(d.bytes, "null"...)
}

// entity appends an id such as APPLICATION-0123456789ABCDEF.
func (d *document) entity(name, prefix string, id uint64) {
	const digits = "0123456789ABCDEF"
	d.name(name)
	d.bytes = append(d.bytes, '"')
	d.bytes = append(d.bytes, prefix...)
	for shift := 60; shift >= 0; shift -= 4 {
		d.bytes = append(d.bytes, digits[id>>shift&15])
	}
	d.bytes = append(d.bytes, '"')
}

// measured appends a number that the agent could take in pct of 100 cases, and
// null in the others.
func (d *document) measured(name string, r *dice, pct, below int) {
	if r.chance(pct) {
		d.number(name, r.upTo(below))
		return
	}
	d.null(name)
}

func (d *document) empty(name string) {
	d.name(name)
	d.bytes = append(d.bytes, '[', ']')
}
