package svg

import (
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"os"
	"strings"
)

// Write writes a photograph and outlines as Read reads them, in the manner of the annotated files: one path an insect, named so,
// in the photograph's pixels to a hundredth, of straight lines alone.
func Write(w io.Writer, jpegFile []byte, size image.Point, outlines []Outline) error {
	var b strings.Builder
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" version="1.1" width="%d" height="%d">
  <image id="image" x="0" y="0" width="%d" height="%d" xlink:href="data:image/jpeg;base64,`, size.X, size.Y, size.X, size.Y)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("svg: %w", err)
	}
	encoder := base64.NewEncoder(base64.StdEncoding, w)
	_, err := encoder.Write(jpegFile)
	if err := errors.Join(err, encoder.Close()); err != nil {
		return fmt.Errorf("svg: %w", err)
	}
	b.Reset()
	b.WriteString("\"/>\n")
	for i, outline := range outlines {
		fmt.Fprintf(&b, `  <path id="insect%d" name="insect" style="fill:#ff0000;fill-opacity:0.2;stroke:#0000ff;stroke-opacity:1" d="`, i+1)
		for j, polygon := range outline {
			if j > 0 {
				b.WriteString(" ")
			}
			b.WriteString("M")
			for _, p := range polygon {
				fmt.Fprintf(&b, " %v,%v", hundredth(p.X), hundredth(p.Y))
			}
			b.WriteString(" Z")
		}
		b.WriteString("\"/>\n")
	}
	b.WriteString("</svg>\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("svg: %w", err)
	}
	return nil
}

// Create writes a new file. One that is there is somebody's, and stays: that is an error.
func Create(path string, jpegFile []byte, size image.Point, outlines []Outline) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // the user names the file
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	return Write(f, jpegFile, size, outlines)
}

func hundredth(v float64) float64 { return math.Round(100*v) / 100 }

// Polygon is the outline that is one polygon with these corners.
func Polygon(corners []image.Point) Outline {
	polygon := make([]Point, len(corners))
	for i, c := range corners {
		polygon[i] = Point{float64(c.X), float64(c.Y)}
	}
	return Outline{polygon}
}
