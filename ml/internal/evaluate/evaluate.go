// Package evaluate scores a detector on photographs annotated by people. docs/DETECTOR.md has the rules: outlines found and
// annotated are rasterised, and matched one to one within each photograph, the highest intersection over union (IoU) first. It may
// import detect and svg.
package evaluate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/svg"
)

// Thresholds are the IoU from which an outline counts as that of an insect.
var Thresholds = []float64{0.33, 0.5}

// Classes of insects by the pixels of their annotated outline; an outline that is nobody's belongs to that of its own size.
var Classes = []Class{{"< 500 px", 0, 500}, {"500-2000 px", 500, 2001}, {"> 2000 px", 2001, 1 << 62}}

// Class is a range of areas.
type Class struct {
	Name      string
	From, End int // pixels; End is no longer within
}

// Options of Dir.
type Options struct {
	Only []string // names of photographs (files without .svg); all if empty
	// SVG, if set, is a folder to write what was found to: the photograph with its outlines.
	SVG string
}

// Counts are what precision and recall are made of.
type Counts struct {
	Matched, Found, Annotated int
}

// Precision is the part of what was found that is an insect; with nothing found, nothing is wrong: 1.
func (c Counts) Precision() float64 { return ratio(c.Matched, c.Found) }

// Recall is the part of the insects that was found; with no insect, none is missed: 1.
func (c Counts) Recall() float64 { return ratio(c.Matched, c.Annotated) }

// F1 is the harmonic mean of both.
func (c Counts) F1() float64 { return ratio(2*c.Matched, c.Found+c.Annotated) }

func ratio(a, b int) float64 {
	if b == 0 {
		return 1
	}
	return float64(a) / float64(b)
}

// MarshalJSON adds the ratios.
func (c Counts) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"matched": c.Matched, "found": c.Found, "annotated": c.Annotated,
		"precision": c.Precision(), "recall": c.Recall(), "f1": c.F1(),
	})
}

func (c *Counts) add(o Counts) {
	c.Matched += o.Matched
	c.Found += o.Found
	c.Annotated += o.Annotated
}

// Score is what a detector reached at one threshold.
type Score struct {
	IoU     float64           `json:"iou"`
	All     Counts            `json:"all"`
	Classes map[string]Counts `json:"classes"` // by the names of Classes
}

func (s *Score) add(o Score) {
	s.All.add(o.All)
	for name, c := range o.Classes {
		sum := s.Classes[name]
		sum.add(c)
		s.Classes[name] = sum
	}
}

func newScore(threshold float64) Score { return Score{IoU: threshold, Classes: map[string]Counts{}} }

// Photograph is the result of one.
type Photograph struct {
	Name    string  `json:"name"`
	Scores  []Score `json:"scores"`            // as Thresholds
	Seconds float64 `json:"seconds"`           // of detecting, the JPEG's decoding not included
	Warning string  `json:"warning,omitempty"` // what was drawn and does not count
}

// Report is the result of a folder.
type Report struct {
	Detector    string       `json:"detector"`
	Version     string       `json:"version"`
	Photographs []Photograph `json:"photographs"`
	All         []Score      `json:"all"` // of all insects together, as Thresholds
}

// Dir scores a detector on a folder's annotated photographs (*.svg). Progress, a line a photograph, goes to w.
func Dir(ctx context.Context, d detect.Detector, dir string, o Options, w io.Writer) (*Report, error) {
	names, err := photographs(dir, o.Only)
	if err != nil {
		return nil, err
	}
	r := &Report{Detector: d.Name(), Version: d.Version()}
	for _, t := range Thresholds {
		r.All = append(r.All, newScore(t))
	}
	for _, name := range names {
		p, err := one(ctx, d, dir, name, o.SVG)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		r.Photographs = append(r.Photographs, *p)
		for i := range r.All {
			r.All[i].add(p.Scores[i])
		}
		line := fmt.Sprintf("%s: %d insects, %d found, %.2f s", name, p.Scores[0].All.Annotated, p.Scores[0].All.Found, p.Seconds)
		if p.Warning != "" {
			line += "; " + p.Warning
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// photographs lists the names, those asked for or all.
func photographs(dir string, only []string) ([]string, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), ".svg"); ok && !f.IsDir() {
			names = append(names, name)
		}
	}
	for _, name := range only {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("%s holds no %s.svg", dir, name)
		}
	}
	if len(only) > 0 {
		names = slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(only, name) })
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s holds no annotated photographs (*.svg)", dir)
	}
	return names, nil
}

func one(ctx context.Context, d detect.Detector, dir, name, out string) (*Photograph, error) {
	annotated, err := svg.ReadFile(filepath.Join(dir, name+".svg"))
	if err != nil {
		return nil, err
	}
	picture, err := jpeg.Decode(bytes.NewReader(annotated.JPEG))
	if err != nil {
		return nil, fmt.Errorf("the photograph: %w", err)
	}
	began := time.Now()
	insects, err := d.Detect(ctx, picture)
	if err != nil {
		return nil, err
	}
	p := &Photograph{Name: name, Seconds: time.Since(began).Seconds(), Warning: annotated.Warning(), Scores: Compare(insects, annotated.Outlines, annotated.Size)}
	if out == "" {
		return p, nil
	}
	return p, write(filepath.Join(out, name+".svg"), annotated, insects)
}

func write(path string, a *svg.Annotated, insects []detect.Insect) (err error) {
	f, err := os.Create(path) //nolint:gosec // the user names the folder
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	outlines := make([]svg.Outline, len(insects))
	for i, insect := range insects {
		outlines[i] = svg.Polygon(insect.Outline)
	}
	return svg.Write(f, a.JPEG, a.Size, outlines)
}

// Compare scores what was found on one photograph, at each of Thresholds.
func Compare(found []detect.Insect, annotated []svg.Outline, size image.Point) []Score {
	var right, ours []mask
	for _, o := range annotated {
		// an outline without a pixel of the photograph is no insect on it
		if m := rasterise(o, size); m.area > 0 {
			right = append(right, m)
		}
	}
	for _, insect := range found {
		polygon := make([]svg.Point, len(insect.Outline))
		for i, q := range insect.Outline {
			polygon[i] = svg.Point{X: float64(q.X), Y: float64(q.Y)}
		}
		ours = append(ours, rasterise(svg.Outline{polygon}, size))
	}
	pairs := match(ours, right)
	var scores []Score
	for _, threshold := range Thresholds {
		s := newScore(threshold)
		class := make([]int, len(ours)) // the area that decides about each one's class
		for i, m := range ours {
			class[i] = m.area
		}
		for _, p := range pairs {
			if p.iou >= threshold {
				class[p.found] = right[p.annotated].area
				s.count(right[p.annotated].area, Counts{Matched: 1})
			}
		}
		for _, area := range class {
			s.count(area, Counts{Found: 1})
		}
		for _, m := range right {
			s.count(m.area, Counts{Annotated: 1})
		}
		scores = append(scores, s)
	}
	return scores
}

// count adds to all and to the class of an area.
func (s *Score) count(area int, c Counts) {
	s.All.add(c)
	for _, class := range Classes {
		if area >= class.From && area < class.End {
			sum := s.Classes[class.Name]
			sum.add(c)
			s.Classes[class.Name] = sum
		}
	}
}

// pair says that the outlines overlap.
type pair struct {
	found, annotated int
	iou              float64
}

// match gives each at most one partner, the highest IoU first. Since a pair below a threshold comes after all above it, one
// matching serves all thresholds.
func match(found, annotated []mask) []pair {
	var all []pair
	for i, f := range found {
		for j, a := range annotated {
			if v := f.iou(a); v > 0 {
				all = append(all, pair{i, j, v})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b pair) int { return cmp.Compare(b.iou, a.iou) })
	takenFound, takenAnnotated := make([]bool, len(found)), make([]bool, len(annotated))
	return slices.DeleteFunc(all, func(p pair) bool {
		if takenFound[p.found] || takenAnnotated[p.annotated] {
			return true
		}
		takenFound[p.found], takenAnnotated[p.annotated] = true, true
		return false
	})
}

// WriteText writes the report as tables for people.
func (r *Report) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "detector %s, version %s\n", r.Detector, r.Version)
	for i, threshold := range Thresholds {
		fmt.Fprintf(t, "\nIoU %v\tprecision\trecall\tF1\tmatched\tfound\tannotated\n", threshold)
		leastP, leastR := 1.0, 1.0
		for _, p := range r.Photographs {
			line(t, p.Name, p.Scores[i].All)
			leastP, leastR = min(leastP, p.Scores[i].All.Precision()), min(leastR, p.Scores[i].All.Recall())
		}
		fmt.Fprintf(t, "least of a photograph\t%.3f\t%.3f\n", leastP, leastR)
		for _, class := range Classes {
			line(t, class.Name, r.All[i].Classes[class.Name])
		}
		line(t, "all", r.All[i].All)
	}
	return t.Flush()
}

func line(w io.Writer, name string, c Counts) {
	fmt.Fprintf(w, "%s\t%.3f\t%.3f\t%.3f\t%d\t%d\t%d\n", name, c.Precision(), c.Recall(), c.F1(), c.Matched, c.Found, c.Annotated)
}
