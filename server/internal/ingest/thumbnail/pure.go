package thumbnail

import (
	"bytes"
	"image/jpeg"

	"github.com/sticky-pi/sticky-pi-server/services/kit/jpegfile"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// pure is the engine of Go's standard library.
type pure struct{}

func (pure) name() string { return "pure Go" }

// decode decodes at the full size: image/jpeg cannot scale.
func (pure) decode(file []byte, info jpegfile.Info, _, _ int) (*picture, error) {
	m, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, spi.Errorf(spi.CodeInvalid, "the JPEG is damaged or cut short: %s", err)
	}
	if b := m.Bounds(); b.Dx() != info.Width || b.Dy() != info.Height {
		return nil, spi.Errorf(spi.CodeInternal, "the JPEG's size was read as %d x %d, but it is %d x %d", info.Width, info.Height, b.Dx(), b.Dy())
	}
	return fromImage(m), nil
}

func (pure) encode(p *picture, quality int) ([]byte, error) {
	var b bytes.Buffer
	err := jpeg.Encode(&b, p.toImage(), &jpeg.Options{Quality: quality})
	return b.Bytes(), err
}
