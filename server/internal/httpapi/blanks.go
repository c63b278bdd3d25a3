package httpapi

import "io"

// oneBlank hands on a JSON list with every run of blanks between its elements cut to one. json.Decoder looks again at all
// the blanks it has so far whenever more of the body comes: 100 MB of them would keep a processor busy for an hour. Elements
// it reads once, so theirs stay: annotations are kept as they were sent.
type oneBlank struct {
	r        io.Reader
	depth    int // of objects and lists
	inString bool
	escaped  bool // the last byte was a backslash in a string
	blank    bool // the last byte was a blank outside of strings
}

func (o *oneBlank) Read(p []byte) (int, error) {
	for {
		n, err := o.r.Read(p)
		kept := p[:0]
		for _, c := range p[:n] {
			blank := false
			switch {
			case o.escaped:
				o.escaped = false
			case c == '"':
				o.inString = !o.inString
			case o.inString:
				o.escaped = c == '\\'
			case c == '[' || c == '{':
				o.depth++
			case c == ']' || c == '}':
				o.depth--
			case o.depth <= 1:
				blank = c == ' ' || c == '\n' || c == '\t' || c == '\r'
			}
			if !blank || !o.blank {
				kept = append(kept, c)
			}
			o.blank = blank
		}
		if len(kept) > 0 || err != nil || len(p) == 0 {
			return len(kept), err
		}
	}
}
