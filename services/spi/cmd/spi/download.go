package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the protocol's checksum, not a signature
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"

	kitprogress "github.com/sticky-pi/sticky-pi-server/services/kit/progress"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

type downloadCmd struct {
	rangeFlags
	Out     string `required:"" short:"o" type:"path" placeholder:"DIR" help:"The folder to put them in; it is made where it is missing."`
	What    string `enum:"image,thumbnail,thumbnail-mini,metadata" default:"image" help:"image: the originals. thumbnail: at most 512x384. thumbnail-mini: at most 128x96. metadata: one table, images.csv."`
	Name    string `default:"{device}/{name}" placeholder:"TEMPLATE" help:"Where each file goes in the folder, made of {device}, {name} (DEVICE.DATE_TIME.jpg), {date}, {time}, {year}, {month}, {day}, {id}; all in UTC."`
	Workers int    `default:"6" help:"How many files at a time (1 to 64)."`
	Trust   bool   `help:"Do not read files that are there to compare their checksums: their names are enough."`
}

func (downloadCmd) Help() string {
	return `Downloads images. Given again, it goes on where it ended: files that are there, with the right checksum, are left alone. A
file appears under its name once it is whole; one that is there with other content is replaced.

  spi download --since yesterday --until yesterday --out pictures
  spi download --since '7 days ago' -d 5c173ff2 --what thumbnail --out week --name '{date}/{name}'`
}

func (c downloadCmd) Run(ctx context.Context, a *app) error {
	series, _, err := c.series(time.Now())
	if err != nil {
		return err
	}
	if c.Workers < 1 || c.Workers > 64 {
		return usagef("--workers: from 1 to 64, not %d", c.Workers)
	}
	if err := checkTemplate(c.Name); err != nil {
		return err
	}
	client, err := a.client(spi.WithRetry(spi.Retry{Attempts: 8})) // a minute without a server
	if err != nil {
		return err
	}
	unlock, err := lockFolder(c.Out)
	if err != nil {
		return err
	}
	defer unlock()
	if c.What == string(spi.Metadata) {
		return c.table(ctx, a, client, series)
	}
	return c.pictures(ctx, a, client, series)
}

// lockFolder makes a folder, and keeps other downloads out of it: two would write the same .part files.
func lockFolder(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("the folder cannot be made: %w", err)
	}
	lock := flock.New(filepath.Join(dir, ".spi-download.lock"))
	mine, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("the folder cannot be written: %w", err)
	}
	if !mine {
		return nil, &fault{status: exitFailed, text: fmt.Sprintf("another download writes to %s: wait for its end, or choose another folder", dir)}
	}
	return func() { _ = lock.Close() }, nil // the lock ends with the program at the latest
}

// table writes images.csv.
func (c downloadCmd) table(ctx context.Context, a *app, client *spi.Client, series []spi.Series) error {
	path := filepath.Join(c.Out, "images.csv")
	n := 0
	err := writeWhole(path, time.Time{}, func(w *os.File) error {
		out := bufio.NewWriter(w)
		rows := counted(client.GetImageSeries(ctx, spi.Metadata, series...), &n)
		if err := showCSV(out, rows); err != nil {
			return err
		}
		return out.Flush()
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s in %s\n", kitprogress.Count(int64(n), "image is", "images are"), path)
	return nil
}

// writeWhole writes a file beside its place and moves it there once it is whole. It leaves nothing behind where it fails.
// at, where it is not zero, becomes the file's time.
func writeWhole(path string, at time.Time, write func(*os.File) error) error {
	part := path + ".part"
	f, err := os.Create(part) //nolint:gosec // the user's folder, and a name that was checked
	if err != nil {
		return err
	}
	err = write(f)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil && !at.IsZero() {
		_ = os.Chtimes(part, at, at) // some file systems cannot
	}
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		_ = os.Remove(part)
	}
	return err
}

// wanted is an image to download: what is kept of each while the others are downloaded, 48 bytes.
type wanted struct {
	id     int64
	device string // one for all images of the device
	taken  int64  // seconds since the epoch
	md5    [md5.Size]byte
}

// pieceOf is how many images are kept together: a list that grew as one would be copied, and be there twice.
const pieceOf = 4096

func (w wanted) key() spi.ImageKey {
	return spi.ImageKey{Device: w.device, Datetime: spi.Datetime{Time: time.Unix(w.taken, 0).UTC()}}
}

func (w wanted) name() string {
	return w.device + "." + spi.FormatDatetime(time.Unix(w.taken, 0), spi.DateV1)
}

// downloads is the state of one download.
type downloads struct {
	downloadCmd
	app      *app
	client   *spi.Client
	progress *progress
	inARow   atomic.Int32 // failures since the last success
}

// tooManyInARow is when a download gives up: what fails then is not the images.
const tooManyInARow = 25

// errTooMany is the cause of a context that ended so.
var errTooMany = &fault{status: exitUnreachable, text: fmt.Sprintf("%d images in a row failed: stopped; the same command goes on from here", tooManyInARow)}

// pictures lists the images first, since the server's reply should not have to wait for the pictures, whose URLs are asked
// for in small numbers when their turn comes: they do not get old.
func (c downloadCmd) pictures(ctx context.Context, a *app, client *spi.Client, series []spi.Series) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	d := &downloads{downloadCmd: c, app: a, client: client, progress: a.progress("downloaded", "images")}
	stop := sync.OnceFunc(d.progress.Stop)
	defer stop()

	var all [][]wanted
	n := 0
	devices := map[string]string{} // one string each
	for image, err := range client.GetImageSeries(ctx, spi.Metadata, series...) {
		if err != nil {
			return err
		}
		device, known := devices[image.Device]
		if !known {
			device = image.Device
			devices[device] = device
		}
		w := wanted{id: image.ID, device: device, taken: image.Datetime.Unix()}
		if sum, err := hex.DecodeString(image.MD5); err == nil {
			copy(w.md5[:], sum) // else no file is like it
		}
		if n%pieceOf == 0 {
			all = append(all, make([]wanted, 0, pieceOf))
		}
		last := &all[len(all)-1]
		*last = append(*last, w)
		n++
		d.progress.Expect(1)
	}
	d.progress.Counted()

	batch := min(max(n/c.Workers/4, 1), 100)
	work := make(chan []wanted)
	var workers sync.WaitGroup
	for range c.Workers {
		workers.Go(func() {
			for some := range work {
				if err := d.batch(ctx, some); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, piece := range all {
		for some := range slices.Chunk(piece, batch) {
			select {
			case work <- some:
			case <-ctx.Done():
			}
		}
	}
	close(work)
	workers.Wait()
	stop()

	p := d.progress
	fmt.Fprintf(a.out, "%s downloaded (%s), %s there already, %d failed\n", kitprogress.Count(p.done.Load(), "image", "images"), kitprogress.Size(p.moved.Load()),
		kitprogress.Count(p.skipped.Load(), "was", "were"), p.failed.Load())
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if failed := p.failed.Load(); failed > 0 {
		return someFailedf(p.done.Load()+p.skipped.Load(), "%d of %d images failed; the same command tries them again", failed, n)
	}
	return nil
}

// batch downloads some images. Its error ends the whole download.
func (d *downloads) batch(ctx context.Context, some []wanted) error {
	missing := map[int64]string{} // paths by the image's id
	var keys []spi.ImageKey
	names := map[int64]wanted{}
	for _, w := range some {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		path, err := d.path(w)
		if err != nil {
			d.failed(ctx, w, err)
			continue
		}
		there, err := d.isThere(path, w.md5)
		switch {
		case err != nil:
			return err
		case there:
			d.progress.Skipped()
		default:
			missing[w.id], names[w.id] = path, w
			keys = append(keys, w.key())
		}
	}
	if len(keys) == 0 {
		return nil
	}
	images, err := spi.Collect(d.client.GetImages(ctx, spi.What(d.What), keys))
	if err != nil {
		return err
	}
	for _, image := range images {
		path, asked := missing[image.ID]
		if !asked {
			continue
		}
		w := names[image.ID]
		delete(missing, image.ID)
		if err := d.one(ctx, w, image, path); err != nil {
			return err
		}
	}
	for id := range missing {
		d.failed(ctx, names[id], errors.New("it was deleted from the server meanwhile"))
	}
	return nil
}

// isThere says whether an image's file is there. A file that cannot be read is an error: it could not be replaced either.
func (d *downloads) isThere(path string, sum [md5.Size]byte) (bool, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !info.Mode().IsRegular():
		return false, fmt.Errorf("%s is not a file: move it away, or choose another folder", path)
	case info.Size() == 0:
		return false, nil
	case d.What != string(spi.FullImage), d.Trust:
		return true, nil
	}
	f, err := os.Open(path) //nolint:gosec // likewise
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // it was only read
	h := md5.New()                   //nolint:gosec // see the import
	if _, err := io.Copy(h, f); err != nil {
		return false, err
	}
	return bytes.Equal(h.Sum(nil), sum[:]), nil
}

// one downloads one picture. Its error, of this machine's disk or the command's end, ends the whole download.
func (d *downloads) one(ctx context.Context, w wanted, image spi.Image, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	sum := ""
	if d.What == string(spi.FullImage) {
		sum = image.MD5
	}
	err := fetchFile(ctx, d.client, d.progress, image.URL, path, sum, time.Unix(w.taken, 0))
	var local *diskError
	var wire *spi.Error
	switch {
	case err == nil:
		d.inARow.Store(0)
		d.progress.Done()
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &local), !errors.As(err, &wire):
		return err
	}
	d.failed(ctx, w, err)
	if d.inARow.Add(1) >= tooManyInARow {
		return errTooMany
	}
	return nil
}

func (d *downloads) failed(ctx context.Context, w wanted, err error) {
	d.progress.Failed()
	_, text := d.app.explain(ctx, err)
	d.progress.Printf("%s: %s", printable(w.name()), text)
}

// fetchFile downloads a file that appears in its place once it is whole: with that md5, where sum is not empty. at becomes
// its time, where it is not zero. Errors of this machine's disk are a diskError.
func fetchFile(ctx context.Context, client *spi.Client, p *progress, url, path, sum string, at time.Time) error {
	return writeWhole(path, at, func(f *os.File) error {
		return client.Fetch(ctx, url, func(body io.Reader, size int64) error {
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				return &diskError{err}
			}
			if err := f.Truncate(0); err != nil {
				return &diskError{err}
			}
			h := md5.New() //nolint:gosec // see the import
			n, err := io.Copy(io.MultiWriter(diskWriter{f}, h, mover{p}), body)
			switch got := hex.EncodeToString(h.Sum(nil)); {
			case err != nil:
				return err
			case n == 0, size >= 0 && n != size:
				return spi.Errorf(spi.CodeUnavailable, "%d bytes came of %d", n, size)
			case sum != "" && !strings.EqualFold(got, sum):
				return spi.Errorf(spi.CodeUnavailable, "it came with the checksum %s instead of %s", got, printable(sum))
			}
			return nil
		})
	})
}

// diskError is one of this machine's files, which no other attempt will mend.
type diskError struct{ error }

func (e *diskError) Unwrap() error { return e.error }

type diskWriter struct{ *os.File }

func (w diskWriter) Write(p []byte) (int, error) {
	n, err := w.File.Write(p)
	if err != nil {
		err = &diskError{err}
	}
	return n, err
}

// mover counts what comes.
type mover struct{ *progress }

func (m mover) Write(p []byte) (int, error) {
	m.Moved(int64(len(p)))
	return len(p), nil
}

// placeholders are what a template may hold, with what each stands for.
func placeholders(w wanted, name string) *strings.Replacer {
	t := time.Unix(w.taken, 0).UTC()
	return strings.NewReplacer("{device}", w.device, "{name}", name, "{date}", t.Format(time.DateOnly), "{time}", t.Format("15-04-05"),
		"{year}", t.Format("2006"), "{month}", t.Format("01"), "{day}", t.Format("02"), "{id}", strconv.FormatInt(w.id, 10))
}

// checkTemplate refuses templates that would put two images in one file, or outside of the folder.
func checkTemplate(template string) error {
	example := placeholders(wanted{id: 1, device: "5c173ff2"}, "x.jpg").Replace(template)
	has := func(s string) bool { return strings.Contains(template, s) }
	day := has("{date}") || has("{year}") && has("{month}") && has("{day}")
	switch {
	case strings.ContainsAny(example, "{}"):
		return usagef("--name: %q has an unknown {...}: there are {device}, {name}, {date}, {time}, {year}, {month}, {day} and {id}", template)
	case !filepath.IsLocal(filepath.FromSlash(example)) || strings.HasSuffix(example, "/"):
		return usagef("--name: %q does not lead to a file in the folder of --out", template)
	case !has("{name}") && !has("{id}") && !(has("{device}") && day && has("{time}")):
		return usagef("--name: %q would give several images one name: use {name}, {id}, or {device} with {date} and {time}", template)
	}
	return nil
}

// path is where an image goes. Its device's name is the server's word, and refused where it could lead elsewhere.
func (d *downloads) path(w wanted) (string, error) {
	if !isDevice(w.device) {
		return "", fmt.Errorf("%q is not the name of a device: it is not downloaded", w.device)
	}
	name := w.name()
	if d.What != string(spi.FullImage) {
		name += "." + d.What
	}
	local := filepath.FromSlash(placeholders(w, name+".jpg").Replace(d.Name))
	if !filepath.IsLocal(local) {
		return "", fmt.Errorf("%q does not lead to a file in the folder", local)
	}
	return filepath.Join(d.Out, local), nil
}
