package httpapi

import (
	"context"
	"io"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
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
	ctx, key := c.Request.Context(), tuboids.Key(t.TuboidID, tuboids.Picture)
	info, err := a.Blobs.Head(ctx, key)
	if err != nil {
		return err
	}
	etag := `"` + info.ETag + `-first"`
	c.Header("ETag", etag)
	c.Header("Cache-Control", "private, max-age="+tileLife)
	if c.GetHeader("If-None-Match") == etag {
		c.Status(http.StatusNotModified)
		return nil
	}
	tile, err := a.makeTile(ctx, user.ID, info, t.NShots)
	if err != nil {
		c.Writer.Header().Del("ETag")
		c.Header("Cache-Control", "no-store")
		return err
	}
	c.Data(http.StatusOK, "image/jpeg", tile)
	return nil
}

func (a *api) makeTile(ctx context.Context, user int64, picture blob.Info, shots int) ([]byte, error) {
	if picture.Size > userPlotBytes {
		return nil, noTile()
	}
	// its turn first: a file that waits must not be in the memory, nor a connection to the object store be held for it
	if err := a.tiles.Acquire(ctx, 1); err != nil {
		return nil, spi.Wrap(spi.CodeUnavailable, err, "the request ended before it was the picture's turn")
	}
	defer a.tiles.Release(1)
	// at once or not at all: others wait for this turn, and one whose plots fill his room must not keep them
	done, err := a.plots.takeWithin(ctx, 0, user, int(picture.Size))
	if err != nil {
		return nil, err
	}
	defer done()
	file, err := a.readObject(ctx, picture)
	if err != nil {
		return nil, err
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

// readObject reads an object whole that was looked at before, when there is room for it. CodeUnavailable where it is another by now.
func (a *api) readObject(ctx context.Context, looked blob.Info) ([]byte, error) {
	body, info, err := a.Blobs.Get(ctx, looked.Key)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }() // it was only read
	if info.Size != looked.Size || info.ETag != looked.ETag {
		return nil, spi.Errorf(spi.CodeUnavailable, "the object %s was replaced just now: try again", looked.Key)
	}
	read, err := io.ReadAll(io.LimitReader(body, info.Size))
	if err != nil {
		return nil, spi.Wrap(spi.CodeUnavailable, err, "the object %s could not be read: try again", looked.Key)
	}
	return read, nil
}

func noTile() error {
	return spi.Errorf(spi.CodeNotFound, "of this tuboid's picture no thumbnail is made: it is too large, or no JPEG that can be decoded. Show the picture itself")
}
