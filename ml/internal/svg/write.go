package svg

import (
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"io"
	"strings"
)

// Write writes a photograph and outlines as Read reads them, in the manner of the annotated files: one path an insect, named so.
func Write(w io.Writer, jpegFile []byte, size image.Point, outlines [][]image.Point) error {
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
		fmt.Fprintf(&b, `  <path id="insect%d" name="insect" style="fill:#ff0000;fill-opacity:0.2;stroke:#0000ff;stroke-opacity:1" d="M`, i+1)
		for _, p := range outline {
			fmt.Fprintf(&b, " %d,%d", p.X, p.Y)
		}
		b.WriteString(" Z\"/>\n")
	}
	b.WriteString("</svg>\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("svg: %w", err)
	}
	return nil
}
