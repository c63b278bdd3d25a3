package httpapi

import (
	"context"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/server/internal/ingest"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// what reads the last part of the path.
func what(c *gin.Context) (spi.What, error) {
	switch w := spi.What(c.Param("what")); w {
	case spi.Metadata, spi.FullImage, spi.SavedImage, spi.Thumbnail, spi.ThumbnailMini:
		return w, nil
	case "thumbnail_mini":
		return spi.ThumbnailMini, nil
	default:
		return "", spi.Errorf(spi.CodeInvalid, "%.40q is no kind of image: ask for metadata, image, image-download, thumbnail or thumbnail-mini", string(w))
	}
}

// urls gives the function that appends an image's url as JSON. Keys are safe in URLs, and URLs in JSON strings.
func (a *api) urls(w spi.What) func([]byte, *store.Image) []byte {
	if w == spi.Metadata {
		return func(b []byte, _ *store.Image) []byte { return append(b, `""`...) }
	}
	appendURL := a.Blobs.AppendURL
	if w == spi.SavedImage {
		w, appendURL = spi.FullImage, a.Blobs.AppendSavingURL
	}
	var key []byte
	return func(b []byte, m *store.Image) []byte {
		key = ingest.AppendKey(key[:0], m.Device, m.Datetime, w)
		b = append(b, '"')
		b = appendURL(b, string(key))
		return append(b, '"')
	}
}

func imageKeys(c *gin.Context) ([]store.ImageKey, spi.DateFormat, error) {
	var keys []store.ImageKey
	format, err := elements(c, func(e *element) error {
		keys = append(keys, store.ImageKey{Device: e.text("device", maxText), Datetime: e.datetime("datetime")})
		return nil
	})
	return keys, format, err
}

// replyImages streams the images that find gives.
func (a *api) replyImages(c *gin.Context, format spi.DateFormat, w spi.What, find func(func(*store.Image) error) error) error {
	l, url := newList(c, format), a.urls(w)
	if err := find(func(m *store.Image) error { return l.done(appendImage(l.row(), m, format, url)) }); err != nil {
		return err
	}
	return l.end()
}

func (a *api) getImages(c *gin.Context, _ *store.User) error {
	w, err := what(c)
	if err != nil {
		return err
	}
	keys, format, err := imageKeys(c)
	if err != nil {
		return err
	}
	return a.replyImages(c, format, w, func(each func(*store.Image) error) error {
		return a.Store.Images(c.Request.Context(), keys, each)
	})
}

func (a *api) getImageSeries(c *gin.Context, _ *store.User) error {
	w, err := what(c)
	if err != nil {
		return err
	}
	var series []store.Series
	format, err := elements(c, func(e *element) error {
		series = append(series, store.Series{
			Device: e.text("device", maxText), Start: e.datetime("start_datetime"), End: e.datetime("end_datetime"),
		})
		return nil
	})
	if err != nil {
		return err
	}
	return a.replyImages(c, format, w, func(each func(*store.Image) error) error {
		return a.Store.ImageSeries(c.Request.Context(), series, each)
	})
}

func (a *api) deleteImages(c *gin.Context, _ *store.User) error {
	keys, format, err := imageKeys(c)
	if err != nil {
		return err
	}
	// A client that hangs up must not leave half a batch behind.
	ctx := context.WithoutCancel(c.Request.Context())
	return a.replyImages(c, format, spi.Metadata, func(each func(*store.Image) error) error {
		var gone error
		if err := a.Store.DeleteImages(ctx, keys, a.deleteObjects, goingOn(each, &gone)); err != nil {
			return err
		}
		return gone
	})
}

// goingOn is each for a deletion that goes on when the reply cannot be sent any more; the first failure is kept in gone.
func goingOn[T any](each func(*T) error, gone *error) func(*T) error {
	return func(row *T) error {
		if *gone == nil {
			*gone = each(row)
		}
		return nil
	}
}

func (a *api) deleteObjects(ctx context.Context, images []store.Image) error {
	keys := make([]string, 0, 3*len(images))
	for i := range images {
		keys = append(keys, ingest.Keys(&images[i])...)
	}
	return a.Blobs.Delete(ctx, keys...)
}
