package svg

import (
	"errors"
	"fmt"
	"strconv"
)

// curvePoints is how many lines a curve becomes. Curves of outlines are a few tens of pixels long.
const curvePoints = 12

// arguments is how many numbers a command takes.
var arguments = map[byte]int{'M': 2, 'L': 2, 'H': 1, 'V': 1, 'C': 6, 'S': 4, 'Q': 4, 'T': 2, 'Z': 0}

// parsePath reads a path's d (https://www.w3.org/TR/SVG11/paths.html): all commands but arcs (A), absolute and relative. A subpath
// that is not closed counts as closed; one of fewer than three points is left out.
func parsePath(d string, limit int) (Outline, error) {
	p := pen{limit: limit}
	l := lexer{text: d}
	var command byte
	for !l.end() {
		c := l.text[l.at]
		letter := c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' && c != 'e'
		switch {
		case letter:
			command = c
			l.at++
		case command == 0 || command == 'z' || command == 'Z':
			return nil, fmt.Errorf("path: %q where a command is expected", c)
		}
		upper := command &^ 0x20
		n, known := arguments[upper]
		if !known {
			return nil, fmt.Errorf("path: command %q is not supported", command)
		}
		if command == 0 || len(p.done) == 0 && len(p.line) == 0 && upper != 'M' {
			return nil, errors.New("path: does not begin with M")
		}
		var v [6]float64
		for i := range n {
			var err error
			if v[i], err = l.number(); err != nil {
				return nil, fmt.Errorf("path: command %q: %w", command, err)
			}
		}
		if err := p.draw(upper, command != upper, v); err != nil {
			return nil, err
		}
		// further pairs after M are lines
		if upper == 'M' {
			command-- // to L or l
		}
	}
	p.finish()
	var out Outline
	for _, polygon := range p.done {
		if len(polygon) >= 3 {
			out = append(out, polygon)
		}
	}
	return out, nil
}

// pen draws a path.
type pen struct {
	limit       int // points that may still be drawn
	done        [][]Point
	line        []Point
	start, here Point
	last        byte  // the command before
	handle      Point // the last curve's second (or only) handle, for S and T
}

func (p *pen) draw(command byte, relative bool, v [6]float64) error {
	// the coordinates as points, absolute
	var at [3]Point
	for i := range at {
		at[i] = Point{v[2*i], v[2*i+1]}
		if relative {
			at[i].X += p.here.X
			at[i].Y += p.here.Y
		}
	}
	mirrored := p.here
	if command == 'S' && (p.last == 'C' || p.last == 'S') || command == 'T' && (p.last == 'Q' || p.last == 'T') {
		mirrored = Point{2*p.here.X - p.handle.X, 2*p.here.Y - p.handle.Y}
	}
	p.last = command
	if p.limit -= curvePoints; p.limit < 0 {
		return errors.New("path: too many points")
	}
	switch command {
	case 'M':
		p.finish()
		p.start = at[0]
		p.to(at[0])
	case 'Z':
		p.finish()
		p.here = p.start
	case 'L':
		p.to(at[0])
	case 'H':
		p.to(Point{at[0].X, p.here.Y})
	case 'V':
		y := v[0]
		if relative {
			y += p.here.Y
		}
		p.to(Point{p.here.X, y})
	case 'C':
		p.curve(at[0], at[1], at[2])
	case 'S':
		p.curve(mirrored, at[0], at[1])
	case 'Q':
		p.quadratic(at[0], at[1])
	case 'T':
		p.quadratic(mirrored, at[0])
	}
	return nil
}

func (p *pen) finish() {
	if len(p.line) > 0 {
		p.done = append(p.done, p.line)
		p.line = nil
	}
}

func (p *pen) to(q Point) {
	if len(p.line) == 0 && q != p.start {
		p.line = append(p.line, p.start) // drawing goes on after Z
	}
	p.line = append(p.line, q)
	p.here = q
}

func (p *pen) curve(b, c, d Point) {
	a := p.here
	for i := 1; i < curvePoints; i++ {
		t := float64(i) / curvePoints
		u := 1 - t
		p.to(Point{
			u*u*u*a.X + 3*u*u*t*b.X + 3*u*t*t*c.X + t*t*t*d.X,
			u*u*u*a.Y + 3*u*u*t*b.Y + 3*u*t*t*c.Y + t*t*t*d.Y,
		})
	}
	p.to(d)
	p.handle = c
}

// quadratic draws the cubic curve that is the same.
func (p *pen) quadratic(handle, end Point) {
	third := func(a, b Point) Point { return Point{a.X + 2*(b.X-a.X)/3, a.Y + 2*(b.Y-a.Y)/3} }
	p.curve(third(p.here, handle), third(end, handle), end)
	p.handle = handle
}

// lexer reads the numbers of a path or a transform.
type lexer struct {
	text string
	at   int
}

// end skips blanks and commas, and says whether nothing follows.
func (l *lexer) end() bool {
	for l.at < len(l.text) {
		switch l.text[l.at] {
		case ' ', ',', '\t', '\r', '\n', '\f':
			l.at++
		default:
			return false
		}
	}
	return true
}

// number reads the next: "1-2.5.5e3" are 1, -2.5 and .5e3.
func (l *lexer) number() (float64, error) {
	if l.end() {
		return 0, errors.New("a number is missing")
	}
	start := l.at
	sign := func() {
		if l.at < len(l.text) && (l.text[l.at] == '+' || l.text[l.at] == '-') {
			l.at++
		}
	}
	digits := func() {
		for l.at < len(l.text) && l.text[l.at] >= '0' && l.text[l.at] <= '9' {
			l.at++
		}
	}
	sign()
	digits()
	if l.at < len(l.text) && l.text[l.at] == '.' {
		l.at++
		digits()
	}
	if l.at < len(l.text) && (l.text[l.at] == 'e' || l.text[l.at] == 'E') {
		l.at++
		sign()
		digits()
	}
	v, err := strconv.ParseFloat(l.text[start:l.at], 64)
	if err != nil {
		return 0, fmt.Errorf("%.12q is no number", l.text[start:])
	}
	return v, nil
}
