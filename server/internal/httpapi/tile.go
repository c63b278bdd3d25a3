package httpapi

import (
	"context"
	"io"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/tuboids"
	"github.com/sticky-pi/sticky-pi-server/services/kit/jpegfile"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Corners cuts the left upper corner out of a JPEG: a square of side pixels, at most `most` wide as it is given.
type Corners interface {
	Corner(ctx context.Context, file []byte, info jpegfile.Info, side, most int) ([]byte, error)
}

const (
	// tileSize bounds a thumbnail, in pixels: it is a tile of the matcher as it is.
	tileSize = 224
	// tileLife is how long a browser keeps it without asking, in seconds: as long as addresses of pictures are the same.
	tileLife = "86400"
)

// getTile gives the first tile of a tuboid's picture, which is made anew each time. One is made at a time, so that uploads do not
// wait for viewers.
func (a *api) getTile(c *gin.Context, user *store.User) error {
	t, err := a.oneTuboid(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	body, info, err := a.Blobs.Get(ctx, tuboids.Key(t.TuboidID, tuboids.Picture))
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // it was only read
	etag := `"` + info.ETag + `-first"`
	c.Header("ETag", etag)
	c.Header("Cache-Control", "private, max-age="+tileLife)
	if c.GetHeader("If-None-Match") == etag {
		c.Status(http.StatusNotModified)
		return nil
	}
	tile, err := a.makeTile(ctx, user.ID, body, info.Size, t.NShots)
	if err != nil {
		c.Writer.Header().Del("ETag")
		c.Header("Cache-Control", "no-store")
		return err
	}
	c.Data(http.StatusOK, "image/jpeg", tile)
	return nil
}

func (a *api) makeTile(ctx context.Context, user int64, picture io.Reader, size int64, shots int) ([]byte, error) {
	if size > userPlotBytes {
		return nil, noTile()
	}
	// its turn first: a file that waits must not be in the memory
	if err := a.tiles.Acquire(ctx, 1); err != nil {
		return nil, spi.Wrap(spi.CodeUnavailable, err, "the request ended before it was the picture's turn")
	}
	defer a.tiles.Release(1)
	// at once or not at all: others wait for this turn, and one whose plots fill his room must not keep them
	done, err := a.plots.takeWithin(ctx, 0, user, int(size))
	if err != nil {
		return nil, err
	}
	defer done()
	file, err := io.ReadAll(io.LimitReader(picture, size))
	if err != nil {
		return nil, spi.Wrap(spi.CodeUnavailable, err, "the tuboid's picture could not be read: try again")
	}
	info, err := jpegfile.Check(file)
	if err != nil {
		return nil, noTile()
	}
	tile, err := a.Corners.Corner(ctx, file, info, tuboids.TileSide(info.Width, info.Height, shots), tileSize)
	if err != nil && spi.CodeOf(err) == spi.CodeInvalid { // the request is none the worse for it
		return nil, noTile()
	}
	return tile, err
}

func noTile() error {
	return spi.Errorf(spi.CodeNotFound, "of this tuboid's picture no thumbnail is made: it is too large, or no JPEG that can be decoded. Show the picture itself")
}
