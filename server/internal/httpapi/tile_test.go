package httpapi

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/semaphore"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/kit/jpegfile"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

const aTuboid = "5c173ff2.2020-06-20_21-33-24.2020-06-21_21-33-24.1598113346-ad2cd78dfaca12821046dfb8994724d5.0001"

// oneTuboidStore has the tuboid.
type oneTuboidStore struct{ store.Tuboids }

func (oneTuboidStore) TuboidsByName(context.Context, []string) ([]store.Tuboid, error) {
	return []store.Tuboid{{TuboidID: aTuboid, NShots: 1}}, nil
}

// oneObject is an object store with one object, which counts how often it is opened.
type oneObject struct {
	blob.Store
	looked, opened blob.Info
	bytes          []byte
	gets           atomic.Int64
}

func (o *oneObject) Head(_ context.Context, key string) (blob.Info, error) {
	info := o.looked
	info.Key = key
	return info, nil
}

func (o *oneObject) Get(_ context.Context, key string) (io.ReadCloser, blob.Info, error) {
	o.gets.Add(1)
	info := o.opened
	info.Key = key
	return io.NopCloser(bytes.NewReader(o.bytes)), info, nil
}

// noCorners decodes nothing.
type noCorners struct{}

func (noCorners) Corner(context.Context, []byte, jpegfile.Info, int, int) ([]byte, error) {
	return []byte("a tile"), nil
}

func newTileAPI(t *testing.T, o *oneObject) *api {
	t.Helper()
	var picture bytes.Buffer
	if err := jpeg.Encode(&picture, image.NewGray(image.Rect(0, 0, 8, 8)), nil); err != nil {
		t.Fatal(err)
	}
	o.bytes = picture.Bytes()
	o.looked = blob.Info{Size: int64(len(o.bytes)), ETag: "9e6e908d9c29d332b511f8d5121857f8"}
	o.opened = o.looked
	return &api{
		Config: Config{Tuboids: oneTuboidStore{}, Blobs: o, Corners: noCorners{}},
		tiles:  semaphore.NewWeighted(1), plots: newPlotRoom(),
	}
}

// ask calls a handler that takes a tuboid_id; etag is of what the browser has, or empty.
func ask(t *testing.T, handler func(*gin.Context, *store.User) error, etag string) (*gin.Context, *httptest.ResponseRecorder, error) {
	t.Helper()
	w := httptest.NewRecorder()
	c, _ := gin.CreateTestContext(w)
	c.Request = httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?tuboid_id="+url.QueryEscape(aTuboid), nil)
	c.Request.Header.Set("If-None-Match", etag)
	err := handler(c, &store.User{ID: 1})
	return c, w, err
}

func TestWhoWaitsForATurnHoldsNoObjectOpen(t *testing.T) {
	for _, test := range []struct {
		name    string
		handler func(*api) func(*gin.Context, *store.User) error
		occupy  func(*testing.T, *api) (leave func())
	}{
		{"tile", func(a *api) func(*gin.Context, *store.User) error { return a.getTile }, func(t *testing.T, a *api) func() {
			if !a.tiles.TryAcquire(1) {
				t.Fatal("no turn is free")
			}
			return func() { a.tiles.Release(1) }
		}},
		{"shots", func(a *api) func(*gin.Context, *store.User) error { return a.getShots }, func(t *testing.T, a *api) func() {
			done, err := a.plots.take(t.Context(), 1, userPlotBytes)
			if err != nil {
				t.Fatal(err)
			}
			return done
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &oneObject{}
				a := newTileAPI(t, o)
				leave := test.occupy(t, a)
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					_, _, _ = ask(t, test.handler(a), "") // what comes of it is told by other tests
				}()
				synctest.Wait()
				if n := o.gets.Load(); n != 0 {
					t.Errorf("the object was opened %d times before there was room", n)
				}
				leave()
				<-ended
				if n := o.gets.Load(); n != 1 {
					t.Errorf("the object was opened %d times in all", n)
				}
			})
		})
	}
}

func TestATileThatABrowserHasIsNotReadAgain(t *testing.T) {
	o := &oneObject{}
	a := newTileAPI(t, o)
	_, w, err := ask(t, a.getTile, "")
	if err != nil || w.Body.String() != "a tile" || o.gets.Load() != 1 {
		t.Fatalf("%v, %q, opened %d times", err, w.Body, o.gets.Load())
	}
	c, _, err := ask(t, a.getTile, w.Header().Get("ETag"))
	if err != nil || c.Writer.Status() != http.StatusNotModified || o.gets.Load() != 1 {
		t.Errorf("%v, status %d, opened %d times", err, c.Writer.Status(), o.gets.Load())
	}
}

func TestAPictureThatIsReplacedMeanwhileIsAskedForAgain(t *testing.T) {
	o := &oneObject{}
	a := newTileAPI(t, o)
	o.opened.ETag = "another"
	_, w, err := ask(t, a.getTile, "")
	if spi.CodeOf(err) != spi.CodeUnavailable || w.Header().Get("ETag") != "" {
		t.Errorf("%v, ETag %q", err, w.Header().Get("ETag"))
	}
}
