package evaluate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/evaluate"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/svg"
)

// box is an annotated rectangle; found is the same as a detector gives it.
func box(x, y, w, h int) []image.Point {
	return []image.Point{{X: x, Y: y}, {X: x + w, Y: y}, {X: x + w, Y: y + h}, {X: x, Y: y + h}}
}

func found(boxes ...[]image.Point) []detect.Insect {
	var all []detect.Insect
	for _, b := range boxes {
		all = append(all, detect.Insect{Outline: b, Score: 0.9})
	}
	return all
}

func annotated(boxes ...[]image.Point) []svg.Outline {
	var all []svg.Outline
	for _, b := range boxes {
		all = append(all, svg.Polygon(b))
	}
	return all
}

type counts = map[string]evaluate.Counts

func TestScoresOfAPhotograph(t *testing.T) {
	const small, middle, large = "< 500 px", "500-2000 px", "> 2000 px"
	none := evaluate.Counts{}
	for name, c := range map[string]struct {
		found     []detect.Insect
		annotated []svg.Outline
		all       [2]evaluate.Counts // at 0.33 and 0.5: matched, found, annotated
		classes   [2]counts
	}{
		"nothing, rightly": {},
		"nothing found": {
			nil, annotated(box(10, 10, 20, 20)),
			[2]evaluate.Counts{{Annotated: 1}, {Annotated: 1}},
			[2]counts{{small: {Annotated: 1}}, {small: {Annotated: 1}}},
		},
		"nothing there": {
			found(box(10, 10, 30, 30)), nil,
			[2]evaluate.Counts{{Found: 1}, {Found: 1}},
			[2]counts{{middle: {Found: 1}}, {middle: {Found: 1}}},
		},
		"exact": {
			found(box(10, 10, 60, 50)), annotated(box(10, 10, 60, 50)),
			[2]evaluate.Counts{{1, 1, 1}, {1, 1, 1}},
			[2]counts{{large: {1, 1, 1}}, {large: {1, 1, 1}}},
		},
		"IoU of 0.4: good for one threshold": {
			found(box(10, 10, 40, 10)), annotated(box(10, 10, 100, 10)),
			[2]evaluate.Counts{{1, 1, 1}, {0, 1, 1}},
			// found alone, it is small; as the insect's outline, it has the insect's class
			[2]counts{{middle: {1, 1, 1}}, {middle: {0, 0, 1}, small: {0, 1, 0}}},
		},
		"two for one insect: one is wrong": {
			found(box(10, 10, 20, 20), box(11, 10, 20, 20)), annotated(box(10, 10, 20, 20)),
			[2]evaluate.Counts{{1, 2, 1}, {1, 2, 1}},
			[2]counts{{small: {1, 2, 1}}, {small: {1, 2, 1}}},
		},
		"one for two insects: one is missed": {
			found(box(10, 10, 40, 10)), annotated(box(10, 10, 20, 10), box(30, 10, 20, 10)),
			[2]evaluate.Counts{{1, 1, 2}, {1, 1, 2}},
			[2]counts{{small: {1, 1, 2}}, {small: {1, 1, 2}}},
		},
		"the highest IoU goes first, even if another is left without": {
			// 18 wide: 0.9 with the first insect. The other found one (0.5 with the first only) gets none.
			found(box(0, 0, 10, 10), box(0, 0, 18, 10)), annotated(box(0, 0, 20, 10)),
			[2]evaluate.Counts{{1, 2, 1}, {1, 2, 1}},
			[2]counts{{small: {1, 2, 1}}, {small: {1, 2, 1}}},
		},
		"an insect off the photograph is none": {
			nil, annotated(box(500, 500, 20, 20)), [2]evaluate.Counts{none, none}, [2]counts{},
		},
		"only what is on the photograph counts": {
			found(box(180, 0, 20, 20)), annotated(box(180, 0, 80, 20)),
			[2]evaluate.Counts{{1, 1, 1}, {1, 1, 1}},
			[2]counts{{small: {1, 1, 1}}, {small: {1, 1, 1}}},
		},
		"the classes' bounds": {
			nil, annotated(box(0, 0, 499, 1), box(0, 2, 500, 1), box(0, 4, 500, 4), box(0, 9, 667, 3)),
			[2]evaluate.Counts{{Annotated: 4}, {Annotated: 4}},
			[2]counts{{small: {Annotated: 1}, middle: {Annotated: 2}, large: {Annotated: 1}}, {small: {Annotated: 1}, middle: {Annotated: 2}, large: {Annotated: 1}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			size := image.Pt(200, 200)
			if name == "the classes' bounds" {
				size.X = 700
			}
			got := evaluate.Compare(c.found, c.annotated, size)
			for i, threshold := range evaluate.Thresholds {
				want := evaluate.Score{IoU: threshold, All: c.all[i], Classes: c.classes[i]}
				if want.Classes == nil {
					want.Classes = counts{}
				}
				if diff := cmp.Diff(want, got[i]); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestRatios(t *testing.T) {
	c := evaluate.Counts{Matched: 6, Found: 8, Annotated: 12}
	if p, r, f := c.Precision(), c.Recall(), c.F1(); p != 0.75 || r != 0.5 || f != 0.6 {
		t.Errorf("precision %v, recall %v, F1 %v", p, r, f)
	}
	c = evaluate.Counts{}
	if p, r, f := c.Precision(), c.Recall(), c.F1(); p != 1 || r != 1 || f != 1 {
		t.Errorf("of nothing: precision %v, recall %v, F1 %v", p, r, f)
	}
}

// fixed finds the same everywhere.
type fixed []detect.Insect

func (fixed) Name() string    { return "fixed" }
func (fixed) Version() string { return "1-2" }
func (f fixed) Detect(ctx context.Context, p image.Image) ([]detect.Insect, error) {
	if p.Bounds().Dx() == 13 {
		return nil, errors.New("an unlucky width")
	}
	return f, ctx.Err()
}

func folder(t *testing.T, files map[string][][]image.Point, width int) string {
	t.Helper()
	var picture bytes.Buffer
	if err := jpeg.Encode(&picture, image.NewGray(image.Rect(0, 0, width, 80)), nil); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, outlines := range files {
		if err := svg.Create(filepath.Join(dir, name), picture.Bytes(), image.Pt(width, 80), annotated(outlines...)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAFolderIsScored(t *testing.T) {
	dir := folder(t, map[string][][]image.Point{
		"a.1.svg": {box(10, 10, 20, 20), box(50, 50, 20, 20)},
		"b.2.svg": {box(10, 10, 20, 20)},
		"c.3.svg": nil,
	}, 100)
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("no photograph"), 0o600); err != nil {
		t.Fatal(err)
	}
	detector := fixed(found(box(10, 10, 20, 20)))
	var progress bytes.Buffer
	got, err := evaluate.Dir(t.Context(), detector, dir, evaluate.Options{}, &progress)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(progress.String(), "\n"); n != 3 || !strings.Contains(progress.String(), "a.1: 2 insects, 1 found") {
		t.Errorf("progress %q", progress.String())
	}
	if diff := cmp.Diff(evaluate.Counts{Matched: 2, Found: 3, Annotated: 3}, got.All[0].All); diff != "" {
		t.Error(diff)
	}
	var text bytes.Buffer
	if err := got.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for line := range strings.Lines(text.String()) {
		rows = append(rows, strings.Fields(line))
	}
	want := [][]string{
		{"detector", "fixed,", "version", "1-2"},
		{},
		{"IoU", "0.33", "precision", "recall", "F1", "matched", "found", "annotated"},
		{"a.1", "1.000", "0.500", "0.667", "1", "1", "2"},
		{"b.2", "1.000", "1.000", "1.000", "1", "1", "1"},
		{"c.3", "0.000", "1.000", "0.000", "0", "1", "0"},
		{"least", "of", "a", "photograph", "0.000", "0.500"},
		{"<", "500", "px", "0.667", "0.667", "0.667", "2", "3", "3"},
		{"500-2000", "px", "1.000", "1.000", "1.000", "0", "0", "0"},
		{">", "2000", "px", "1.000", "1.000", "1.000", "0", "0", "0"},
		{"all", "0.667", "0.667", "0.667", "2", "3", "3"},
	}
	if diff := cmp.Diff(want, rows[:len(want)]); diff != "" {
		t.Error(diff)
	}
	encoded, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Detector    string
		Photographs []struct{ Name string }
		All         []struct {
			IoU float64
			All struct {
				Precision float64
				Found     int
			}
		}
	}
	if err := json.Unmarshal(encoded, &back); err != nil {
		t.Fatal(err)
	}
	if back.Detector != "fixed" || len(back.Photographs) != 3 || back.All[0].IoU != 0.33 || back.All[0].All.Found != 3 || back.All[0].All.Precision < 0.66 {
		t.Errorf("as JSON: %s", encoded)
	}
}

func TestOnlyThoseNamedAreScored(t *testing.T) {
	dir := folder(t, map[string][][]image.Point{"a.1.svg": nil, "b.2.svg": {box(1, 1, 50, 50)}}, 100)
	out := t.TempDir()
	got, err := evaluate.Dir(t.Context(), fixed(found(box(1, 1, 50, 50))), dir, evaluate.Options{Only: []string{"b.2"}, SVG: out}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Photographs) != 1 || got.All[1].All != (evaluate.Counts{Matched: 1, Found: 1, Annotated: 1}) {
		t.Errorf("got %+v", got)
	}
	drawn, err := svg.ReadFile(filepath.Join(out, "b.2.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(annotated(box(1, 1, 50, 50)), drawn.Outlines); diff != "" {
		t.Error(diff)
	}
}

func TestFoldersThatCannotBeScoredSayWhy(t *testing.T) {
	good := folder(t, map[string][][]image.Point{"a.1.svg": nil}, 100)
	bad := t.TempDir()
	if err := os.WriteFile(filepath.Join(bad, "x.svg"), []byte("<svg/>"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir  string
		only []string
		want string
	}{
		"no folder":             {filepath.Join(good, "none"), nil, "none"},
		"no photograph in it":   {t.TempDir(), nil, "no annotated photographs"},
		"none of that name":     {good, []string{"a.2"}, "no a.2.svg"},
		"not a photograph":      {bad, nil, "x: svg: no <image>"},
		"the detector gives up": {folder(t, map[string][][]image.Point{"u.svg": nil}, 13), nil, "u: an unlucky width"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := evaluate.Dir(t.Context(), fixed(nil), c.dir, evaluate.Options{Only: c.only}, &bytes.Buffer{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := evaluate.Dir(ctx, fixed(nil), good, evaluate.Options{}, &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want a cancelled context", err)
	}
}
