package photograph_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/photograph"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
)

func sum(data []byte) string {
	s := md5.Sum(data)
	return hex.EncodeToString(s[:])
}

func TestFetchTellsThePhotographsFaultsFromTheStores(t *testing.T) {
	photo := spitest.JPEG(spitest.Photo{Width: 64, Height: 48})
	var asked atomic.Int32
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		md5    string
		reason photograph.Reason // of the photograph
		code   spi.Code          // else
		asked  int32
	}{
		{"it is there", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(photo) }, sum(photo), "", "", 1},
		{"other bytes", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(photo[1:]) }, sum(photo), photograph.WrongMD5, "", 1},
		{"gone", http.NotFound, sum(photo), photograph.Gone, "", 1},
		{"too long", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(photograph.MaxBytes+1))
		}, sum(photo), photograph.TooLarge, "", 1},
		{"the store is broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, sum(photo), "", spi.CodeUnavailable, 3},
		{"the store refuses the link", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, sum(photo), "", spi.CodeUnavailable, 3},
		{"it breaks off once", func(w http.ResponseWriter, _ *http.Request) {
			if asked.Load() == 1 {
				w.Header().Set("Content-Length", "1000000")
			}
			_, _ = w.Write(photo)
		}, sum(photo), "", "", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked.Store(0)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				tt.answer(w, r)
			}))
			defer s.Close()
			data, err := photograph.Fetch(t.Context(), s.Client(), s.URL+"/a.jpg?X-Amz-Signature=secret", tt.md5)
			check(t, err, tt.reason, tt.code)
			if err == nil && !bytes.Equal(data, photo) {
				t.Errorf("%d bytes, want the %d of the photograph", len(data), len(photo))
			}
			if n := asked.Load(); n != tt.asked {
				t.Errorf("asked %d times, want %d", n, tt.asked)
			}
		})
	}
	_, err := photograph.Fetch(t.Context(), http.DefaultClient, "", "")
	check(t, err, photograph.NoLink, "")
}

func TestFetchOfAStoreThatIsAwayDoesNotShowTheLink(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	_, err := photograph.Fetch(t.Context(), http.DefaultClient, s.URL+"/a.jpg?X-Amz-Signature=secret", "")
	check(t, err, "", spi.CodeUnavailable)
	if bytes.Contains([]byte(err.Error()), []byte("secret")) {
		t.Errorf("the error holds the link's signature: %v", err)
	}
}

func TestFetchObeysItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer s.Close()
	if _, err := photograph.Fetch(ctx, s.Client(), s.URL, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// A stalling store begins an answer and goes silent.
type stalling struct{ whole []byte }

func (s stalling) RoundTrip(r *http.Request) (*http.Response, error) {
	body := io.MultiReader(bytes.NewReader(s.whole[:1000]), silence{r.Context()})
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(body), ContentLength: int64(len(s.whole)), Request: r}, nil
}

type silence struct{ ctx context.Context }

func (s silence) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func TestFetchDoesNotWaitForAStoreThatStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		photo := spitest.JPEG(spitest.Photo{Width: 64, Height: 48})
		_, err := photograph.Fetch(ctx, &http.Client{Transport: stalling{photo}}, "http://store/a.jpg", sum(photo))
		check(t, err, "", spi.CodeUnavailable)
		if !errors.Is(err, photograph.ErrNotServed) || ctx.Err() != nil {
			t.Errorf("error %v", err)
		}
	})
}

func check(t *testing.T, err error, reason photograph.Reason, code spi.Code) {
	t.Helper()
	var mine *photograph.Error
	switch {
	case reason != "":
		if !errors.As(err, &mine) || mine.Reason != reason {
			t.Errorf("error %v, want the photograph's fault %s", err, reason)
		}
	case code != "":
		if errors.As(err, &mine) || err == nil || spi.CodeOf(err) != code {
			t.Errorf("error %v, want %s", err, code)
		}
	case err != nil:
		t.Error(err)
	}
}

// claimed is a JPEG whose header claims other dimensions.
func claimed(width, height uint16) []byte {
	data := spitest.Picture(spitest.Photo{Width: 64, Height: 48, Grey: true})
	at := bytes.Index(data, []byte{0xff, 0xc0})
	binary.BigEndian.PutUint16(data[at+5:], height)
	binary.BigEndian.PutUint16(data[at+7:], width)
	return data
}

func TestDecodeIsBounded(t *testing.T) {
	whole := spitest.JPEG(spitest.Photo{Width: 64, Height: 48})
	for _, tt := range []struct {
		name   string
		data   []byte
		reason photograph.Reason
	}{
		{"a photograph", whole, ""},
		{"a grey one", spitest.Picture(spitest.Photo{Width: 64, Height: 48, Grey: true}), ""},
		{"one pixel", spitest.Picture(spitest.Photo{Width: 1, Height: 1}), ""},
		{"cut short", whole[:len(whole)/2], photograph.Unreadable},
		{"nothing", nil, photograph.Unreadable},
		{"text", []byte("not a picture"), photograph.Unreadable},
		{"a hundred more scans than any has", slices.Concat(whole[:len(whole)-2], bytes.Repeat(whole[bytes.LastIndex(whole, []byte{0xff, 0xda}):len(whole)-2], 100), whole[len(whole)-2:]), photograph.Unreadable},
		{"65500 x 65500 pixels, as it says", claimed(65500, 65500), photograph.TooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			photo, err := photograph.Decode(tt.data)
			check(t, err, tt.reason, "")
			if err == nil && photo.Bounds().Empty() {
				t.Error("the picture is empty")
			}
		})
	}
}

// rgb gives a JPEG in colour whose components are named red, green and blue, and so are these.
func rgb(photo []byte) []byte {
	data := slices.Clone(photo)
	frame, scan := bytes.Index(data, []byte{0xff, 0xc0}), bytes.Index(data, []byte{0xff, 0xda})
	for i, name := range []byte("RGB") {
		data[frame+10+3*i] = name
		data[scan+5+2*i] = name
	}
	return data
}

// adobe gives a JPEG in colour with Adobe's segment behind the frame's header, which says that colours are not transformed.
func adobe(photo []byte) []byte {
	scan := bytes.Index(photo, []byte{0xff, 0xda})
	return slices.Concat(photo[:scan], []byte("\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"), photo[scan:])
}

// inked gives a progressive JPEG of that size in four inks, whose data are zeros.
func inked(cmyk []byte, width, height int) []byte {
	scan := bytes.Index(cmyk, []byte{0xff, 0xda})
	data := slices.Clone(cmyk[:scan+2+2+1+4*2+3])
	frame := bytes.Index(data, []byte{0xff, 0xc0})
	data[frame+1] = 0xc2
	binary.BigEndian.PutUint16(data[frame+5:], uint16(height))
	binary.BigEndian.PutUint16(data[frame+7:], uint16(width))
	copy(data[scan+2+2+1+4*2:], []byte{0, 0, 0}) // the first coefficients alone
	return slices.Concat(data, make([]byte, width*height/4), []byte{0xff, 0xd9})
}

func TestWeighIsWhatDecodingTakes(t *testing.T) {
	cmyk, err := os.ReadFile("../../../services/kit/jpegfile/testdata/cmyk.jpg")
	if err != nil {
		t.Fatal(err)
	}
	plain := spitest.Picture(spitest.Photo{Width: 640, Height: 480})
	for _, tt := range []struct {
		name string
		data []byte
		want int64
	}{
		{"an ordinary one", plain, 640 * 480 * 3},
		{"a grey one", spitest.Picture(spitest.Photo{Width: 640, Height: 480, Grey: true}), 640 * 480},
		{"a progressive one", spitest.Progressive(2400, 1600), 2400 * 1600 * 3 * 5},
		{"one in red, green and blue", rgb(plain), 640 * 480 * (3 + 4)},
		{"one that Adobe's segment makes that", adobe(plain), 640 * 480 * (3 + 4)},
		{"one of a kind that the server does not take", inked(cmyk, 640, 480), 640 * 480 * (4*5 + 4)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			weight, err := photograph.Weigh(tt.data)
			if err != nil || weight != tt.want {
				t.Fatalf("%d bytes, %v; want %d", weight, err, tt.want)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			photo, err := photograph.Decode(tt.data)
			if err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			const more = 200_000 // of tables, and of blocks beyond the border
			if took := int64(after.TotalAlloc - before.TotalAlloc); took > weight+more {
				t.Errorf("decoding %v took %d bytes, and weighs %d", photo.Bounds(), took, weight)
			}
		})
	}
	if _, err := photograph.Weigh([]byte("no picture")); err == nil {
		t.Error("what is no picture has a weight")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(spitest.JPEG(spitest.Photo{Width: 16, Height: 8}))
	f.Add(claimed(60000, 900))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			t.Skip("longer than it takes to find faults")
		}
		photo, err := photograph.Decode(data)
		if err == nil && photo.Bounds().Dx()*photo.Bounds().Dy() > photograph.MaxPixels {
			t.Errorf("decoded %v", photo.Bounds())
		}
	})
}
