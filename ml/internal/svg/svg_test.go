package svg_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/svg"
)

func photograph(width, height int) []byte {
	p := image.NewGray(image.Rect(0, 0, width, height))
	for i := range p.Pix {
		p.Pix[i] = uint8(i)
	}
	p.SetGray(0, 0, color.Gray{255})
	var b bytes.Buffer
	if err := jpeg.Encode(&b, p, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// file is an SVG of a photograph of 40 x 30 pixels; attributes are the image's, body comes after it.
func file(attributes, body string) string {
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape" width="40" height="30">
<image %s xlink:href="data:image/jpeg;base64,%s"/>%s</svg>`, attributes, base64.StdEncoding.EncodeToString(photograph(40, 30)), body)
}

func outlines(t *testing.T, text string) []svg.Outline {
	t.Helper()
	got, err := svg.Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if got.Size != image.Pt(40, 30) {
		t.Errorf("a photograph of %v", got.Size)
	}
	return got.Outlines
}

func TestPathsBecomePolygons(t *testing.T) {
	square := svg.Outline{{{1, 2}, {5, 2}, {5, 6}, {1, 6}}}
	for name, c := range map[string]struct {
		d    string
		want svg.Outline
	}{
		"absolute":                       {"M 1,2 L 5,2 5,6 1,6 Z", square},
		"relative":                       {"m1 2l4 0l0 4l-4 0z", square},
		"pairs after M are lines":        {"M1,2 5,2 5,6 1,6z", square},
		"pairs after m are relative":     {"m 1,2 4,0 0,4 -4,0 z", square},
		"horizontal and vertical":        {"M1 2H5V6H1Z", square},
		"the same, relative":             {"M1 2h4v4h-4z", square},
		"no blanks between numbers":      {"M1+2L5e0,2,5.0.6e1-0-0,1 6Z", svg.Outline{{{1, 2}, {5, 2}, {5, 6}, {0, 0}, {1, 6}}}},
		"not closed":                     {"M1,2 5,2 5,6 1,6", square},
		"two subpaths":                   {"M1,2 5,2 5,6 1,6Zm10,0 h1 v1z", svg.Outline{square[0], {{11, 2}, {12, 2}, {12, 3}}}},
		"drawing goes on after Z":        {"M1,2 5,2 5,6 1,6Z L 9,9 1,9", svg.Outline{square[0], {{1, 2}, {9, 9}, {1, 9}}}},
		"after z the start counts":       {"m1,2 4,0 0,4 -4,0 z m 1,1 1,0 0,1z", svg.Outline{square[0], {{2, 3}, {3, 3}, {3, 4}}}},
		"fewer than three points: none":  {"M1,2 5,2Z", nil},
		"exponent at the end of a point": {"M1,2 5,2e0 5,6 100e-2,6z", square},
		"empty":                          {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := outlines(t, file("", `<path d="`+c.d+`"/>`))
			var want []svg.Outline
			if c.want != nil {
				want = []svg.Outline{c.want}
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCurvesAreFlattened(t *testing.T) {
	// A circle of radius 10 around (20, 15), of four curves; the handles' length is the usual 0.5523.
	const k = 5.523
	absolute := fmt.Sprintf("M30,15 C30,%g %g,25 20,25 C%g,25 10,%g 10,15 C10,%g %g,5 20,5 C%g,5 30,%g 30,15 Z",
		15+k, 20+k, 20-k, 15+k, 15-k, 20-k, 20+k, 15-k)
	relative := fmt.Sprintf("m30,15 c0,%g %g,10 -10,10 %g,0 -10,%g -10,-10 0,%g %g,-10 10,-10 %g,0 10,%g 10,10 z",
		k, k-10, -k, k-10, -k, 10-k, k, 10-k)
	smooth := fmt.Sprintf("M30,15 C30,%g %g,25 20,25 S10,%g 10,15 %g,5 20,5 s10,%g 10,10 z", 15+k, 20+k, 15+k, 20-k, 10-k)
	for name, d := range map[string]string{"absolute": absolute, "relative": relative, "smooth": smooth} {
		got := outlines(t, file("", `<path d="`+d+`"/>`))
		if len(got) != 1 || len(got[0]) != 1 || len(got[0][0]) < 40 {
			t.Fatalf("%s: %v", name, got)
		}
		for _, p := range got[0][0] {
			if r := math.Hypot(p.X-20, p.Y-15); math.Abs(r-10) > 0.01 {
				t.Errorf("%s: %v is %v from the middle", name, p, r)
			}
		}
	}
	// y = x(20-x)/10 between 0 and 20, then its mirror image downwards
	for name, d := range map[string]string{"quadratic": "M0,0 Q10,20 20,0 T40,0 Z", "relative": "m0,0 q10,20 20,0 t20,0 z"} {
		got := outlines(t, file("", `<path d="`+d+`"/>`))
		for _, p := range got[0][0] {
			want := p.X * (20 - p.X) / 10
			if p.X > 20 {
				want = -(p.X - 20) * (40 - p.X) / 10
			}
			if math.Abs(p.Y-want) > 1e-9 {
				t.Errorf("%s: %v, want y = %v", name, p, want)
			}
		}
	}
}

func TestOutlinesAreInThePhotographsPixels(t *testing.T) {
	const path = `<path d="M10,10 20,10 20,20Z"/>`
	want := func(p ...svg.Point) []svg.Outline { return []svg.Outline{{p}} }
	plain := want(svg.Point{X: 10, Y: 10}, svg.Point{X: 20, Y: 10}, svg.Point{X: 20, Y: 20})
	for name, c := range map[string]struct {
		attributes, body string
		want             []svg.Outline
	}{
		"as it is":                 {"", path, plain},
		"size in units":            {`width="40" height="30px"`, path, plain},
		"drawn smaller":            {`width="20" height="15"`, path, want(svg.Point{X: 20, Y: 20}, svg.Point{X: 40, Y: 20}, svg.Point{X: 40, Y: 40})},
		"moved photograph":         {`x="5" y="-5"`, path, want(svg.Point{X: 5, Y: 15}, svg.Point{X: 15, Y: 15}, svg.Point{X: 15, Y: 25})},
		"transformed photograph":   {`transform="translate(5,-5)"`, path, want(svg.Point{X: 5, Y: 15}, svg.Point{X: 15, Y: 15}, svg.Point{X: 15, Y: 25})},
		"group":                    {"", `<g transform="translate(1)"><g transform="scale(2) translate(-5 -5)">` + path + `</g></g>`, want(svg.Point{X: 11, Y: 10}, svg.Point{X: 31, Y: 10}, svg.Point{X: 31, Y: 30})},
		"rotated":                  {"", `<path transform="rotate(90, 10,10)" d="M10,10 20,10 20,20Z"/>`, want(svg.Point{X: 10, Y: 10}, svg.Point{X: 10, Y: 20}, svg.Point{X: 0, Y: 20})},
		"rotated around nothing":   {"", `<path transform="rotate(-90)" d="M10,10 20,10 20,20Z"/>`, want(svg.Point{X: 10, Y: -10}, svg.Point{X: 10, Y: -20}, svg.Point{X: 20, Y: -20})},
		"matrix":                   {"", `<path transform="matrix(1 0 0 1 3 4)" d="M10,10 20,10 20,20Z"/>`, want(svg.Point{X: 13, Y: 14}, svg.Point{X: 23, Y: 14}, svg.Point{X: 23, Y: 24})},
		"skewed":                   {"", `<path transform="skewX(45)" d="M10,10 20,10 20,20Z"/>`, want(svg.Point{X: 20, Y: 10}, svg.Point{X: 30, Y: 10}, svg.Point{X: 40, Y: 20})},
		"skewed the other way":     {"", `<path transform="skewY(45)" d="M10,10 20,10 20,20Z"/>`, want(svg.Point{X: 10, Y: 20}, svg.Point{X: 20, Y: 30}, svg.Point{X: 20, Y: 40})},
		"definitions do not count": {"", `<defs><g>` + path + `</g></defs><clipPath>` + path + `</clipPath>` + path, plain},
		"nor what is not shown":    {"", `<g style="fill:red; display: none">` + path + `</g><path display="none" d="M1,1 2,2 3,0z"/>` + path, plain},
		"nor another's attributes": {"", `<path inkscape:d="M1,1 2,2 3,0z" d="M10,10 20,10 20,20Z"/>`, plain},
		"other shapes are ignored": {"", `<rect x="1" width="3" height="3"/><text>M1</text>` + path, plain},
		"no outline":               {"", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, outlines(t, file(c.attributes, c.body)), cmpopts.EquateApprox(0, 1e-9)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLongLinesOfBase64AreJoined(t *testing.T) {
	text := file("", "")
	at := strings.Index(text, "base64,") + 50
	got, err := svg.Read(strings.NewReader(text[:at] + " \n" + text[at:]))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.JPEG, photograph(40, 30)) {
		t.Error("other bytes than were embedded")
	}
}

func TestBadFilesAreRefusedWithTheReason(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":                {"", "no <image>"},
		"no XML":               {"\x89PNG", "svg"},
		"cut short":            {file("", "")[:300], "svg"},
		"no photograph":        {`<svg><path d="M1,1 2,2 3,0z"/></svg>`, "no <image>"},
		"linked photograph":    {`<svg xmlns:xlink="x"><image id="i" xlink:href="file:///etc/passwd"/></svg>`, "no embedded JPEG"},
		"no base64":            {`<svg><image href="data:image/jpeg;base64,*"/></svg>`, "base64"},
		"no JPEG":              {`<svg><image href="data:image/jpeg;base64,AAAA"/></svg>`, "photograph"},
		"two photographs":      {file("", `<image href="data:image/jpeg;base64,AAAA"/>`), "a second photograph"},
		"no extent":            {file(`width="0"`, `<path d="M1,1 2,2 3,0z"/>`), "without any extent"},
		"a size in metres":     {file(`width="1m"`, ""), `width="1m" is no number`},
		"path without M":       {file("", `<path id="p7" d="L1,1 2,2"/>`), `<path id="p7">: path: does not begin with M`},
		"number first":         {file("", `<path d="1,1"/>`), "where a command is expected"},
		"number after Z":       {file("", `<path d="M1,1 2,2z 3"/>`), "where a command is expected"},
		"arc":                  {file("", `<path d="M1,1 A 1 1 0 0 0 2,2"/>`), `'A' is not supported`},
		"a number too few":     {file("", `<path d="M1,1 L2"/>`), "a number is missing"},
		"no number":            {file("", `<path d="M1,1 L2,-"/>`), "is no number"},
		"infinite":             {file("", `<path d="M1,1 L2,1e999 3,3"/>`), "is no number"},
		"beyond all bounds":    {file("", `<path d="M1,1 L2,1e300 3,3"/>`), "beyond all bounds"},
		"unknown transform":    {file("", `<g transform="turn(1)"/>`), "transform"},
		"transform with seven": {file("", `<g transform="matrix(1 1 1 1 1 1 1)"/>`), "transform"},
		"transform not closed": {file("", `<g transform="scale(1"/>`), "transform"},
		"too deep":             {strings.Repeat("<g>", 200), "deep"},
		"nested svg":           {file("", `<svg x="3"/>`), "<svg> within another"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := svg.Read(strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestWhatIsWrittenCanBeRead(t *testing.T) {
	picture := photograph(40, 30)
	var b bytes.Buffer
	drawn := []svg.Outline{svg.Polygon([]image.Point{{1, 2}, {30, 4}, {5, 28}}), {{{0, 0}, {2.126, 0}, {2, -2.5}}, {{5, 5}, {7, 5}, {7, 1e6}}}}
	if err := svg.Write(&b, picture, image.Pt(40, 30), drawn); err != nil {
		t.Fatal(err)
	}
	got, err := svg.Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	want := &svg.Annotated{
		JPEG: picture, Size: image.Pt(40, 30),
		Outlines: []svg.Outline{{{{1, 2}, {30, 4}, {5, 28}}}, {{{0, 0}, {2.13, 0}, {2, -2.5}}, {{5, 5}, {7, 5}, {7, 1e6}}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatDoesNotCountIsCounted(t *testing.T) {
	for body, want := range map[string]string{
		`<path d="M1,1 2,2 3,0z"/>`:                  "",
		`<circle r="3"/><defs><rect/></defs>`:        "1 shape is no path",
		`<g><ellipse rx="3"/><text>a</text></g><g/>`: "2 shapes are no paths",
	} {
		got, err := svg.Read(strings.NewReader(file("", body)))
		if err != nil {
			t.Fatal(err)
		}
		if w := got.Warning(); !strings.HasPrefix(w, want) || (w == "") != (want == "") {
			t.Errorf("%s: got %q, want %q", body, w, want)
		}
	}
}

func TestAFileThatIsThereIsNotReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.svg")
	if err := svg.Create(path, photograph(4, 3), image.Pt(4, 3), nil); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := svg.Create(path, nil, image.Pt(8, 8), nil); !errors.Is(err, os.ErrExist) {
		t.Errorf("error %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("%d bytes of %d, %v", len(after), len(before), err)
	}
}

func TestAnnotatedPhotographsOfPeopleAreRead(t *testing.T) {
	files, err := filepath.Glob("../../../../shared/data/uid/*.svg")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("../shared/data/uid has no annotated photographs")
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := svg.Read(bytes.NewReader(data))
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(name), err)
			continue
		}
		if want := bytes.Count(data, []byte("<path")); len(got.Outlines) != want || want < 10 {
			t.Errorf("%s: %d outlines of %d paths", filepath.Base(name), len(got.Outlines), want)
		}
		for _, outline := range got.Outlines {
			for _, p := range outline[0] {
				if p.X < -50 || p.Y < -50 || p.X > float64(got.Size.X+50) || p.Y > float64(got.Size.Y+50) {
					t.Errorf("%s: %v is off the photograph", filepath.Base(name), p)
				}
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(file("", `<g transform="rotate(10)"><path d="M1,1 c1,2 3,4 5,6 s 1 2 3 4 q1 2 3 4 t5 5 h3 v4 z m1 1 l2 2 3 -3z"/></g>`))
	f.Add(file(`x="1" width="3" height="1e300"`, `<path d="M1,1 2,2"/><defs/>`))
	f.Fuzz(func(t *testing.T, text string) {
		got, err := svg.Read(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, outline := range got.Outlines {
			if len(outline) == 0 {
				t.Error("an outline without polygons")
			}
			for _, polygon := range outline {
				if len(polygon) < 3 {
					t.Errorf("a polygon of %d points", len(polygon))
				}
				for _, p := range polygon {
					if !(math.Abs(p.X) <= 1e9 && math.Abs(p.Y) <= 1e9) {
						t.Errorf("point %v", p)
					}
				}
			}
		}
	})
}
