// Package svg reads and writes annotated photographs: SVG files that hold the photograph as an embedded JPEG and a path for each
// insect, as people draw them in Inkscape and as the Universal Insect Detector's training bundles keep them. A file is anybody's:
// what reading it costs is bounded. It imports nothing of this project.
package svg

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
)

// Bounds of a file. A photograph of a device is 2.2 MB, an outline has tens of points.
const (
	MaxBytes  = 200 << 20
	MaxPixels = 60_000_000
	maxDepth  = 100
	maxPaths  = 100_000
	maxPoints = 5_000_000 // of all outlines
)

// Point is a place on the photograph: pixel (x, y) covers x to x+1 and y to y+1.
type Point struct{ X, Y float64 }

// Outline is a shape drawn by a path: closed polygons, filled by the nonzero rule. Curves are flattened.
type Outline [][]Point

// Annotated is a photograph and what was drawn on it.
type Annotated struct {
	JPEG     []byte
	Size     image.Point // of the photograph, in pixels
	Outlines []Outline   // in the photograph's pixels
	Ignored  int         // ellipses, rectangles, texts and whatever else is drawn and is no path
}

// Read reads an annotated photograph. Paths within definitions, or not displayed, do not count; other shapes are counted only.
func Read(r io.Reader) (*Annotated, error) {
	limited := &io.LimitedReader{R: r, N: MaxBytes + 1}
	p := parser{dec: xml.NewDecoder(limited)}
	// Inkscape writes UTF-8; whatever else a file claims, all that matters in it is ASCII.
	p.dec.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	err := p.run()
	if limited.N <= 0 {
		return nil, fmt.Errorf("svg: more than %d MB", MaxBytes>>20)
	}
	if err != nil {
		return nil, fmt.Errorf("svg: %w", err)
	}
	return p.finish()
}

// ReadFile is Read of a file.
func ReadFile(path string) (_ *Annotated, err error) {
	f, err := os.Open(path) //nolint:gosec // the user names the file
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return Read(f)
}

// Warning says what was drawn and does not count; "" where all does.
func (a *Annotated) Warning() string {
	switch a.Ignored {
	case 0:
		return ""
	case 1:
		return "1 shape is no path and does not count (in Inkscape: Path, Object to Path)"
	}
	return fmt.Sprintf("%d shapes are no paths and do not count (in Inkscape: Path, Object to Path)", a.Ignored)
}

type parser struct {
	dec    *xml.Decoder
	out    Annotated
	image  *matrix // from the photograph's pixels to the drawing
	paths  []drawn
	points int
}

type drawn struct {
	outline Outline
	matrix  matrix
}

func (p *parser) run() error {
	stack := []matrix{identity}
	hidden := 0 // elements that are open within one that is not displayed, itself included
	for {
		token, err := p.dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if len(stack) > maxDepth {
				return fmt.Errorf("elements %d deep", maxDepth)
			}
			m, err := parseTransform(attribute(t, "transform"))
			if err != nil {
				return fmt.Errorf("<%s>: %w", t.Name.Local, err)
			}
			m = stack[len(stack)-1].times(m)
			stack = append(stack, m)
			if hidden > 0 || invisible(t) {
				hidden++
				continue
			}
			if err := p.element(t, m, len(stack) == 2); err != nil {
				return fmt.Errorf("<%s id=%q>: %w", t.Name.Local, attribute(t, "id"), err)
			}
		case xml.EndElement:
			stack = stack[:len(stack)-1]
			hidden = max(0, hidden-1)
		}
	}
}

// invisible elements draw nothing where they stand.
func invisible(t xml.StartElement) bool {
	switch t.Name.Local {
	case "defs", "clipPath", "mask", "symbol", "marker", "pattern", "metadata":
		return true
	}
	style := strings.ReplaceAll(attribute(t, "style"), " ", "")
	return attribute(t, "display") == "none" || strings.Contains(style, "display:none")
}

func (p *parser) element(t xml.StartElement, m matrix, root bool) error {
	switch t.Name.Local {
	case "svg":
		if !root {
			return errors.New("an <svg> within another is not supported")
		}
	case "image":
		return p.photograph(t, m)
	case "path":
		if len(p.paths) == maxPaths {
			return fmt.Errorf("more than %d paths", maxPaths)
		}
		outline, err := parsePath(attribute(t, "d"), maxPoints-p.points)
		if err != nil {
			return err
		}
		for _, polygon := range outline {
			p.points += len(polygon)
		}
		if len(outline) > 0 {
			p.paths = append(p.paths, drawn{outline, m})
		}
	case "ellipse", "circle", "rect", "polygon", "polyline", "line", "text", "use":
		p.out.Ignored++
	}
	return nil
}

func (p *parser) photograph(t xml.StartElement, m matrix) error {
	kind, data, ok := strings.Cut(attribute(t, "href"), ",")
	if !ok || kind != "data:image/jpeg;base64" && kind != "data:image/jpg;base64" {
		return errors.New("the photograph is no embedded JPEG (data:image/jpeg;base64,...)")
	}
	if p.image != nil {
		return errors.New("a second photograph")
	}
	// Inkscape breaks long lines, with a space after each
	decoded, err := base64.StdEncoding.DecodeString(strings.Map(func(r rune) rune {
		if r == ' ' || r == '\n' || r == '\r' || r == '\t' {
			return -1
		}
		return r
	}, data))
	if err != nil {
		return fmt.Errorf("the photograph's base64: %w", err)
	}
	config, err := jpeg.DecodeConfig(bytes.NewReader(decoded))
	if err != nil {
		return fmt.Errorf("the photograph: %w", err)
	}
	if config.Width < 1 || config.Height < 1 || config.Width > MaxPixels/config.Height {
		return fmt.Errorf("a photograph of %d x %d pixels, more than %d megapixels", config.Width, config.Height, MaxPixels/1_000_000)
	}
	p.out.JPEG, p.out.Size = decoded, image.Pt(config.Width, config.Height)
	var box [4]float64
	for i, c := range []struct {
		name  string
		value float64 // if there is none
	}{{"x", 0}, {"y", 0}, {"width", float64(config.Width)}, {"height", float64(config.Height)}} {
		box[i] = c.value
		if text := attribute(t, c.name); text != "" {
			if box[i], err = strconv.ParseFloat(strings.TrimSuffix(text, "px"), 64); err != nil {
				return fmt.Errorf("%s=%q is no number of pixels", c.name, text)
			}
		}
	}
	place := m.times(matrix{box[2] / float64(config.Width), 0, 0, box[3] / float64(config.Height), box[0], box[1]})
	p.image = &place
	return nil
}

func (p *parser) finish() (*Annotated, error) {
	if p.image == nil {
		return nil, errors.New("svg: no <image> with a photograph")
	}
	back, ok := p.image.inverse()
	if !ok {
		return nil, errors.New("svg: the photograph is drawn without any extent")
	}
	for _, d := range p.paths {
		m := back.times(d.matrix)
		for _, polygon := range d.outline {
			for i, q := range polygon {
				polygon[i] = m.apply(q)
				if v := polygon[i]; math.IsNaN(v.X+v.Y) || math.Abs(v.X)+math.Abs(v.Y) > 1e9 {
					return nil, errors.New("svg: a path leads beyond all bounds")
				}
			}
		}
		p.out.Outlines = append(p.out.Outlines, d.outline)
	}
	return &p.out, nil
}

// attribute by its name without a namespace's prefix; "" if there is none.
func attribute(t xml.StartElement, name string) string {
	for _, a := range t.Attr {
		// xlink:href and href are the same; inkscape:label and the like are not ours
		if a.Name.Local == name && (a.Name.Space == "" || a.Name.Space == "xlink" || strings.HasSuffix(a.Name.Space, "/xlink")) {
			return a.Value
		}
	}
	return ""
}

// matrix is SVG's: x' = a x + c y + e, y' = b x + d y + f.
type matrix struct{ a, b, c, d, e, f float64 }

var identity = matrix{a: 1, d: 1}

func (m matrix) apply(p Point) Point {
	return Point{m.a*p.X + m.c*p.Y + m.e, m.b*p.X + m.d*p.Y + m.f}
}

// times applies n first.
func (m matrix) times(n matrix) matrix {
	return matrix{
		m.a*n.a + m.c*n.b, m.b*n.a + m.d*n.b, m.a*n.c + m.c*n.d, m.b*n.c + m.d*n.d,
		m.a*n.e + m.c*n.f + m.e, m.b*n.e + m.d*n.f + m.f,
	}
}

func (m matrix) inverse() (matrix, bool) {
	det := m.a*m.d - m.b*m.c
	if math.Abs(det) < 1e-12 || math.IsNaN(det) || math.IsInf(det, 0) {
		return matrix{}, false
	}
	return matrix{m.d / det, -m.b / det, -m.c / det, m.a / det, (m.c*m.f - m.d*m.e) / det, (m.b*m.e - m.a*m.f) / det}, true
}

// parseTransform reads a transform attribute: matrix, translate, scale, rotate, skewX and skewY, the last applied first.
func parseTransform(text string) (matrix, error) {
	m := identity
	for text = strings.TrimLeft(text, " ,\t\r\n"); text != ""; text = strings.TrimLeft(text, " ,\t\r\n") {
		name, rest, ok := strings.Cut(text, "(")
		arguments, after, closed := strings.Cut(rest, ")")
		if !ok || !closed {
			return m, fmt.Errorf("transform %.40q", text)
		}
		l := lexer{text: arguments}
		var v []float64
		for !l.end() {
			n, err := l.number()
			if err != nil || len(v) == 6 {
				return m, fmt.Errorf("transform %.40q", text)
			}
			v = append(v, n)
		}
		one, ok := transformation(strings.TrimSpace(name), v)
		if !ok {
			return m, fmt.Errorf("transform %.40q", text)
		}
		m = m.times(one)
		text = after
	}
	return m, nil
}

func transformation(name string, v []float64) (matrix, bool) {
	radians := func(i int) float64 { return v[i] * math.Pi / 180 }
	switch n := len(v); {
	case name == "matrix" && n == 6:
		return matrix{v[0], v[1], v[2], v[3], v[4], v[5]}, true
	case name == "translate" && n == 1:
		return matrix{1, 0, 0, 1, v[0], 0}, true
	case name == "translate" && n == 2:
		return matrix{1, 0, 0, 1, v[0], v[1]}, true
	case name == "scale" && n == 1:
		return matrix{a: v[0], d: v[0]}, true
	case name == "scale" && n == 2:
		return matrix{a: v[0], d: v[1]}, true
	case name == "rotate" && (n == 1 || n == 3):
		sin, cos := math.Sincos(radians(0))
		m := matrix{a: cos, b: sin, c: -sin, d: cos}
		if n == 3 {
			m = matrix{1, 0, 0, 1, v[1], v[2]}.times(m).times(matrix{1, 0, 0, 1, -v[1], -v[2]})
		}
		return m, true
	case name == "skewX" && n == 1:
		return matrix{a: 1, c: math.Tan(radians(0)), d: 1}, true
	case name == "skewY" && n == 1:
		return matrix{a: 1, b: math.Tan(radians(0)), d: 1}, true
	}
	return matrix{}, false
}
