// Package thumbnail makes the two small pictures of an uploaded one, and by that proves that the whole of it decodes. It has
// two engines that pass the same tests: libjpeg-turbo through cgo, in builds with cgo and the tag turbojpeg, and pure Go in
// all others. It may import services/spi for the typed error, and kit/jpegfile.
package thumbnail

import (
	"context"
	"runtime"

	"golang.org/x/sync/semaphore"

	"github.com/sticky-pi/sticky-pi-server/services/kit/jpegfile"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// The boxes that the pictures fit, and their JPEG qualities.
const (
	Width, Height         = 512, 384
	MiniWidth, MiniHeight = 128, 96

	quality, miniQuality = 85, 75
)

// Pair is the two pictures, as JPEGs.
type Pair struct {
	Thumbnail []byte // fits Width x Height
	Mini      []byte // fits MiniWidth x MiniHeight
}

// engine decodes and encodes.
type engine interface {
	name() string
	// decode decodes the whole file to a picture of at least width x height, which is at most as large as the file's.
	decode(file []byte, info jpegfile.Info, width, height int) (*picture, error)
	encode(p *picture, quality int) ([]byte, error)
}

// Maker makes thumbnails with the best engine that is built in. It is safe for concurrent use, and decodes at most as many
// pictures at a time as there are processors, which take no more memory together than one of [jpegfile.MaxPixels].
type Maker struct {
	engine engine
	count  *semaphore.Weighted
	memory *semaphore.Weighted
}

// maxMemory is the bytes of a plain picture in colour of the largest size.
const maxMemory = 3 * jpegfile.MaxPixels

// New makes a Maker. All files that a process decodes should go through one, for its bounds to hold.
func New() *Maker { return newMaker(best) }

func newMaker(e engine) *Maker {
	return &Maker{
		engine: e,
		count:  semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0))),
		memory: semaphore.NewWeighted(maxMemory),
	}
}

// Name says which engine is built in, for the log: "libjpeg-turbo 2.1.5 (SIMD)" or "pure Go".
func (m *Maker) Name() string { return m.engine.name() }

// Make decodes the whole file, which [jpegfile.Check] described as info, and gives both thumbnails. CodeInvalid where the
// file is damaged or cut short; CodeUnavailable where ctx ends before it is the picture's turn.
func (m *Maker) Make(ctx context.Context, file []byte, info jpegfile.Info) (Pair, error) {
	done, err := m.turn(ctx, info)
	if err != nil {
		return Pair{}, err
	}
	defer done()
	width, height := fit(info.Width, info.Height, Width, Height)
	whole, err := m.engine.decode(file, info, width, height)
	if err != nil {
		return Pair{}, err
	}
	large := whole.resize(width, height)
	mini := large.resize(fit(info.Width, info.Height, MiniWidth, MiniHeight))
	var pair Pair
	if pair.Thumbnail, err = m.engine.encode(large, quality); err != nil {
		return Pair{}, failed(err)
	}
	if pair.Mini, err = m.engine.encode(mini, miniQuality); err != nil {
		return Pair{}, failed(err)
	}
	return pair, nil
}

// Corner decodes the whole file, which [jpegfile.Check] described as info, and gives the square of side pixels at its left upper
// corner, or what there is of it, at most `most` wide. Errors are those of Make.
func (m *Maker) Corner(ctx context.Context, file []byte, info jpegfile.Info, side, most int) ([]byte, error) {
	done, err := m.turn(ctx, info)
	if err != nil {
		return nil, err
	}
	defer done()
	whole, err := m.engine.decode(file, info, info.Width, info.Height)
	if err != nil {
		return nil, err
	}
	width, height := min(side, info.Width), min(side, info.Height)
	jpeg, err := m.engine.encode(whole.corner(width, height).resize(fit(width, height, most, most)), quality)
	if err != nil {
		return nil, failed(err)
	}
	return jpeg, nil
}

// turn waits until the picture may be decoded; done gives its turn back.
func (m *Maker) turn(ctx context.Context, info jpegfile.Info) (done func(), err error) {
	weight := min(info.Bytes(), maxMemory)
	// The turn at the memory comes first: a large picture that waits for it must not hold up a processor.
	if err := m.memory.Acquire(ctx, weight); err != nil {
		return nil, busy(err)
	}
	if err := m.count.Acquire(ctx, 1); err != nil {
		m.memory.Release(weight)
		return nil, busy(err)
	}
	return func() {
		m.count.Release(1)
		m.memory.Release(weight)
	}, nil
}

func busy(err error) error {
	return spi.Wrap(spi.CodeUnavailable, err, "the request ended before it was the picture's turn to be decoded: send it again")
}

func failed(err error) error {
	return spi.Wrap(spi.CodeInternal, err, "no thumbnail could be made of the picture")
}

// fit is the size of a picture of width x height in a box: the aspect is kept, nothing enlarged, nothing smaller than 1.
func fit(width, height, boxWidth, boxHeight int) (int, int) {
	if width <= boxWidth && height <= boxHeight {
		return width, height
	}
	if width*boxHeight >= height*boxWidth {
		return boxWidth, max(1, (height*boxWidth+width/2)/width)
	}
	return max(1, (width*boxHeight+height/2)/height), boxHeight
}
