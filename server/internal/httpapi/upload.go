package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"os"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/server/internal/ingest"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Bounds of uploads beside MaxBody. Together they bound the memory that uploads take, to formsInMemory times inMemory, and
// largeFiles. A form is read without waiting for another, into a temporary file where no memory is left: somebody who sends
// slowly delays nobody.
const (
	inMemory      = 4 << 20   // bytes of a form's files that may be kept in memory
	formsInMemory = 32        // forms that may do so at a time
	uploadsAtOnce = 32        // forms whose files are being stored at a time; the others have been read and wait
	largeFiles    = 128 << 20 // bytes of files from temporary files that are being stored at a time
)

// Bounds of a multipart form.
const (
	maxParts    = 20_000
	maxPartName = 256 // bytes
	maxPartText = 256 // bytes of a part that is no file
)

// md5Suffix, behind a file's name, is the name of the field with its checksum.
const md5Suffix = ".md5"

// part is one file of a form, in memory or in the form's temporary file.
type part struct {
	name   string
	data   []byte
	size   int64
	spool  *os.File // nil: in memory
	offset int64    // in spool
}

func (p *part) bytes() ([]byte, error) {
	if p.spool == nil {
		return p.data, nil
	}
	b := make([]byte, p.size)
	if _, err := p.spool.ReadAt(b, p.offset); err != nil {
		return nil, spi.Wrap(spi.CodeUnavailable, err, "a temporary file of the server cannot be read: try again")
	}
	return b, nil
}

// form is a multipart form that was read whole: a checksum may come after its file, and nothing is stored of a form that
// does not arrive whole. Its memory is bounded whatever is sent.
type form struct {
	files  []part
	md5    map[string]string // by file name
	memory int64             // bytes of files that may still be kept in memory
	expect int64             // bytes of memory to take at once for the next file; only the first may want any
	spool  *os.File          // the files for which there was no memory, one behind the other; nil: none
	used   int64             // bytes of spool
}

func (f *form) close() {
	if f.spool != nil {
		_ = f.spool.Close() // its name is gone already: there is nothing left to lose
	}
}

// readForm reads a form from a body of so many bytes, -1 where that is not known, with so many bytes of its files in memory.
func readForm(from io.Reader, boundary string, size, memory int64) (*form, error) {
	f := &form{md5: map[string]string{}, memory: memory, expect: size}
	body := &endWatcher{Reader: from, end: []byte("--" + boundary + "--")}
	r := multipart.NewReader(body, boundary)
	for n := 0; ; n++ {
		p, err := r.NextRawPart()
		if err == io.EOF && body.ended { //nolint:errorlint // a wrapped one stands for a form that was cut short
			return f, nil
		}
		if err == nil && n == maxParts {
			err = spi.Errorf(spi.CodeInvalid, "the form has more than %d parts: send fewer files a request", maxParts)
		}
		if err == nil {
			err = f.add(p)
		}
		if err != nil {
			f.close()
			return nil, badForm(err)
		}
	}
}

// endWatcher notes whether the form's end passed by: multipart.Reader gives io.EOF for a form that ends there and also for
// one that was cut within a part's header.
type endWatcher struct {
	io.Reader
	end   []byte
	tail  []byte // of the last read: the end may lie across two
	ended bool
}

func (w *endWatcher) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if !w.ended {
		keep := len(w.end) - 1
		seam := append(w.tail, p[:min(n, keep)]...) //nolint:gocritic // its own buffer, replaced below
		w.ended = bytes.Contains(seam, w.end) || bytes.Contains(p[:n], w.end)
		if n >= keep {
			seam = append(seam[:0], p[n-keep:n]...)
		}
		w.tail = seam[max(0, len(seam)-keep):]
	}
	return n, err
}

func (f *form) add(p *multipart.Part) error {
	name := p.FormName()
	switch {
	case name == "":
		return spi.Errorf(spi.CodeInvalid, "part %d of the form has no field name: it must be the file's name", len(f.files)+len(f.md5))
	case len(name) > maxPartName:
		return spi.Errorf(spi.CodeInvalid, "a field name of the form is longer than %d bytes", maxPartName)
	}
	file, ok := strings.CutSuffix(name, md5Suffix)
	if !ok {
		return f.addFile(name, p)
	}
	b, err := io.ReadAll(io.LimitReader(p, maxPartText+1))
	if err != nil {
		return err
	}
	sum := strings.TrimSpace(string(b))
	if _, twice := f.md5[file]; twice {
		return spi.Errorf(spi.CodeInvalid, "the form has the field %.80q twice", name)
	}
	if len(sum) != 32 {
		return spi.Errorf(spi.CodeInvalid, "%.80q: an md5 is 32 hexadecimal digits", name)
	}
	f.md5[file] = sum
	return nil
}

// addFile takes a file's bytes into memory as long as there is some, else into the temporary file. Most forms hold one
// file, for which the memory is taken once.
func (f *form) addFile(name string, r io.Reader) error {
	var buf bytes.Buffer
	if f.expect > 0 {
		buf.Grow(int(min(f.expect, f.memory)) + bytes.MinRead)
	}
	f.expect = 0 // a form of many files must not take as much for each
	n, err := io.Copy(&buf, io.LimitReader(r, f.memory+1))
	if err != nil {
		return err
	}
	if n <= f.memory {
		f.memory -= n
		f.files = append(f.files, part{name: name, data: buf.Bytes(), size: n})
		return nil
	}
	if f.spool == nil {
		if f.spool, err = os.CreateTemp("", "sticky-pi-upload-*"); err == nil {
			// Without a name it goes away with the process, however that ends.
			err = os.Remove(f.spool.Name())
		}
		if err != nil {
			return noRoom(err)
		}
	}
	out := diskWriter{f.spool}
	if _, err := buf.WriteTo(out); err != nil {
		return err
	}
	more, err := io.Copy(out, r)
	f.files = append(f.files, part{name: name, size: n + more, spool: f.spool, offset: f.used})
	f.used += n + more
	return err
}

// diskWriter tells a full disk here from a broken connection there. The file is not embedded: io.Copy would call its ReadFrom.
type diskWriter struct{ file *os.File }

func (w diskWriter) Write(b []byte) (int, error) {
	n, err := w.file.Write(b)
	if err != nil {
		err = noRoom(err)
	}
	return n, err
}

func noRoom(err error) error {
	return spi.Wrap(spi.CodeUnavailable, err, "the server has no room for the upload: try again")
}

func badForm(err error) error {
	var e *spi.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, os.ErrDeadlineExceeded):
		return tooSlow(err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return spi.Wrap(spi.CodeInvalid, err, "the form ends too early: nothing of it was stored")
	}
	return spi.Wrap(spi.CodeInvalid, err, "the body is not a valid multipart form")
}

// multipartForm reads the request's form, with so many bytes of its files in memory. An empty body is a form of nothing.
func multipartForm(c *gin.Context, memory int64) (*form, error) {
	body := bufio.NewReader(c.Request.Body)
	if _, err := body.Peek(1); errors.Is(err, io.EOF) {
		return &form{}, nil
	}
	header := c.GetHeader("Content-Type")
	media, params, err := mime.ParseMediaType(header)
	if err != nil || media != "multipart/form-data" || params["boundary"] == "" {
		return nil, spi.Errorf(spi.CodeUnsupportedMedia, "files are sent as multipart/form-data, not %.60q", header)
	}
	return readForm(body, params["boundary"], c.Request.ContentLength, memory)
}

// withForm reads the request's form and, when it is its turn, calls store with it.
func (a *api) withForm(c *gin.Context, store func(*form) error) error {
	memory := int64(0)
	if a.inMemory.TryAcquire(1) {
		defer a.inMemory.Release(1)
		memory = inMemory
	}
	f, err := multipartForm(c, memory)
	if err != nil {
		return err
	}
	defer f.close()
	if err := f.checksumsMatchFiles(); err != nil {
		return err
	}
	if err := a.uploads.Acquire(c.Request.Context(), 1); err != nil {
		return err
	}
	defer a.uploads.Release(1)
	return store(f)
}

// putNewImages stores the files one after the other. Those before a failing one stay; the error says which one failed.
func (a *api) putNewImages(c *gin.Context, by *store.User) error {
	l := newList(c, spi.DateV2)
	return a.withForm(c, func(f *form) error {
		for i := range f.files {
			image, err := a.putFile(c.Request.Context(), f, &f.files[i], by)
			if err != nil {
				return ofFile(i, len(f.files), err)
			}
			format := spi.DateV1
			if _, v2 := f.md5[f.files[i].name]; v2 { // only clients of the second generation send checksums
				format = spi.DateV2
			}
			// not sent before the end: a later file's failure still needs a status
			l.buf = appendImage(l.row(), &image, format, nil)
		}
		return l.end()
	})
}

func (a *api) putFile(ctx context.Context, f *form, p *part, by *store.User) (store.Image, error) {
	if p.spool != nil {
		weight := min(p.size, largeFiles)
		if err := a.large.Acquire(ctx, weight); err != nil {
			return store.Image{}, err
		}
		defer a.large.Release(weight)
	}
	data, err := p.bytes()
	if err != nil {
		return store.Image{}, err
	}
	p.data = nil // no longer needed once this returns
	return a.Ingest.Put(ctx, ingest.File{Name: p.name, Data: data, MD5: f.md5[p.name]}, by.Username)
}

func (f *form) checksumsMatchFiles() error {
	names := make(map[string]bool, len(f.files))
	for i := range f.files {
		names[f.files[i].name] = true
	}
	for name := range f.md5 {
		if !names[name] {
			return spi.Errorf(spi.CodeInvalid, "the form has a checksum %.80q but no file of that name", name+md5Suffix)
		}
	}
	return nil
}

// ofFile says, where several files were sent, which one failed and what became of the others.
func ofFile(i, n int, err error) error {
	var e *spi.Error
	if n == 1 || !errors.As(err, &e) {
		return err
	}
	named := spi.Wrap(e.Code, err, "file %d of %d: %s (the files before it are stored, those after it are not)", i+1, n, e.Message)
	named.RetryAfter = e.RetryAfter
	return named
}
