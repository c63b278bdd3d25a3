package spi

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the protocol's checksum, not a signature
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// File is an image to upload.
type File struct {
	// Name is DEVICE.YYYY-MM-DD_HH-MM-SS.jpg, where DEVICE is 8 hexadecimal digits and the time is UTC.
	Name string
	// Open gives the file's bytes from their beginning. It is called once to know the checksum, where MD5 does not say it, and
	// once for each attempt, and must give the same bytes each time.
	Open func() (io.ReadCloser, error)
	// MD5 is the checksum of the whole file, hexadecimal, and Size its length in bytes, where the caller knows them already.
	// A wrong one is no danger: the server refuses the file. Both are found by reading the file where MD5 is empty.
	MD5  string
	Size int64
}

// FileAt is the file at a path, whose last part must be the image's name.
func FileAt(path string) File {
	return File{Name: filepath.Base(path), Open: func() (io.ReadCloser, error) {
		return os.Open(path) //nolint:gosec // the caller names the file
	}}
}

// FileOf is a file in memory.
func FileOf(name string, data []byte) File {
	return File{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}
}

// PutImage uploads one image. See [Client.PutImages].
func (c *Client) PutImage(ctx context.Context, file File) (Image, error) {
	images, err := c.PutImages(ctx, file)
	if err != nil {
		return Image{}, err
	}
	return images[0], nil
}

// PutImages uploads images in one request of at most 100 MB, with their checksums, and gives them in the order of the
// files. It may be called again for files that are stored: an image that the server has with the same md5 counts as
// uploaded, and is given as the server has it.
//
// That is also what makes it safe to send a request again: where the connection breaks, or a gateway gives up, the server
// may have stored some of the files. The client asks which before it sends the others again, and once more where the server
// answers that an image is there, since the first request may still have been at work.
//
// CodeConflict where the server has other bytes of that device and time (never overwritten), CodeInvalid where a file
// cannot be read or the server does not take it. Files before the one that failed are stored; the error names it.
func (c *Client) PutImages(ctx context.Context, files ...File) ([]Image, error) {
	uploads, err := prepare(ctx, files)
	if err != nil {
		return nil, err
	}
	images := make([]Image, len(files))
	attempts := c.retry.begin()
	for len(uploads) > 0 {
		stored, failed := c.putForm(ctx, uploads)
		if failed == nil {
			for i, u := range uploads {
				images[u.index] = stored[i]
			}
			break
		}
		conflict := failed.status == http.StatusConflict
		if !conflict && !failed.again {
			return nil, failed.err
		}
		if !conflict {
			// waiting first gives the request that was lost the time to end
			if err := attempts.next(ctx, failed.err); err != nil {
				return nil, err
			}
		}
		left, err := c.withoutStored(ctx, uploads, images)
		if err != nil {
			return nil, err
		}
		if conflict && len(left) == len(uploads) {
			return nil, failed.err
		}
		uploads = left
	}
	return images, nil
}

// putForm makes one attempt to upload files, and gives an image for each.
func (c *Client) putForm(ctx context.Context, uploads []upload) ([]Image, *failure) {
	reply, failed := c.authorized(ctx, formOf(uploads))
	if failed != nil {
		return nil, failed
	}
	defer discard(reply.Body)
	images, err := Collect(rows[Image](reply.Body))
	switch {
	case ctx.Err() != nil:
		return nil, &failure{err: fmt.Errorf("upload: %w", context.Cause(ctx))}
	case err != nil:
		return nil, &failure{err: err, again: true}
	case len(images) != len(uploads):
		return nil, &failure{err: Errorf(CodeInternal, "the server gave %d images for %d files", len(images), len(uploads))}
	}
	return images, nil
}

// withoutStored notes in images those of the uploads that the server has, and gives the others.
func (c *Client) withoutStored(ctx context.Context, uploads []upload, images []Image) ([]upload, error) {
	type id struct {
		device   string
		datetime time.Time
	}
	var keys []ImageKey
	for _, u := range uploads {
		if key, ok := keyOf(u.file.Name); ok {
			keys = append(keys, key)
		}
	}
	there := map[id]Image{}
	for image, err := range c.GetImages(ctx, Metadata, keys) {
		if err != nil {
			return nil, err
		}
		there[id{strings.ToLower(image.Device), image.Datetime.Time}] = image
	}
	var left []upload
	for _, u := range uploads {
		key, ok := keyOf(u.file.Name)
		image, found := there[id{strings.ToLower(key.Device), key.Datetime.Time}]
		switch {
		case !ok || !found:
			left = append(left, u)
		case strings.EqualFold(image.MD5, u.md5):
			images[u.index] = image
		default:
			return nil, Errorf(CodeConflict, "%.80q: the server has other bytes of that device and time (md5 %.32s, ours is %s); nothing was overwritten",
				u.file.Name, image.MD5, u.md5)
		}
	}
	return left, nil
}

// keyOf reads a file's name. What the server would not take as one is left to it to refuse.
func keyOf(name string) (ImageKey, bool) {
	fields := strings.Split(name, ".")
	if len(fields) != 3 || strings.Trim(fields[0], "0123456789abcdefABCDEF") != "" {
		return ImageKey{}, false // a device that is no pattern
	}
	t, _, err := ParseDatetime(fields[1])
	return ImageKey{Device: fields[0], Datetime: Datetime{t}}, err == nil
}

// upload is a file whose size and checksum are known.
type upload struct {
	file  File
	index int // among the files of the call
	size  int64
	md5   string
}

func prepare(ctx context.Context, files []File) ([]upload, error) {
	uploads := make([]upload, len(files))
	names := make(map[string]bool, len(files))
	for i, file := range files {
		if names[file.Name] {
			return nil, Errorf(CodeInvalid, "%.80q is there twice", file.Name)
		}
		names[file.Name] = true
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("upload: %w", context.Cause(ctx))
		}
		if file.MD5 != "" {
			uploads[i] = upload{file: file, index: i, size: file.Size, md5: file.MD5}
			continue
		}
		r, err := file.Open()
		if err != nil {
			return nil, unreadable(file.Name, err)
		}
		hash := md5.New() //nolint:gosec // see the import
		size, err := io.Copy(hash, r)
		_ = r.Close() // it was only read
		if err != nil {
			return nil, unreadable(file.Name, err)
		}
		uploads[i] = upload{file: file, index: i, size: size, md5: hex.EncodeToString(hash.Sum(nil))}
	}
	return uploads, nil
}

func unreadable(name string, err error) *Error {
	return Wrap(CodeInvalid, err, "%.80q cannot be read", name)
}

// formOf makes the multipart form: for each file the field NAME.md5, then the field NAME. Its length is known, so that the
// server can refuse a form that is too large before it comes.
func formOf(uploads []upload) request {
	var text bytes.Buffer
	w := multipart.NewWriter(&text)
	between := make([][]byte, 0, len(uploads)+1) // the form's text before each file, and after the last
	length := int64(0)
	cut := func() {
		between = append(between, bytes.Clone(text.Bytes()))
		length += int64(text.Len())
		text.Reset()
	}
	must := func(err error) { // writing to memory does not fail
		if err != nil {
			panic(err)
		}
	}
	for _, u := range uploads {
		must(w.WriteField(u.file.Name+".md5", u.md5))
		_, err := w.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {multipart.FileContentDisposition(u.file.Name, u.file.Name)},
			"Content-Type":        {"image/jpeg"},
		})
		must(err)
		cut()
		length += u.size
	}
	must(w.Close())
	cut()
	return request{
		endpoint:    "_put_new_images",
		contentType: w.FormDataContentType(),
		length:      length,
		body: func() (io.ReadCloser, error) {
			return &formReader{uploads: uploads, between: between, text: bytes.NewReader(between[0])}, nil
		},
	}
}

// formReader reads a form, opening one file at a time.
type formReader struct {
	mu      sync.Mutex // HTTP/2 closes a body that may still be being read
	closed  bool
	uploads []upload // those not yet read to their end
	between [][]byte // the text before each of them, and after the last
	text    *bytes.Reader
	file    io.ReadCloser // nil: not open
	left    int64         // bytes of file
}

func (f *formReader) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, os.ErrClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if f.text.Len() > 0 {
			return f.text.Read(p)
		}
		if len(f.uploads) == 0 {
			return 0, io.EOF
		}
		u := &f.uploads[0]
		if f.file == nil {
			file, err := u.file.Open()
			if err != nil {
				return 0, unreadable(u.file.Name, err)
			}
			f.file, f.left = file, u.size
		}
		if f.left > 0 {
			n, err := f.file.Read(p[:min(int64(len(p)), f.left)])
			f.left -= int64(n)
			switch {
			case f.left > 0 && errors.Is(err, io.EOF):
				err = Errorf(CodeInvalid, "%.80q has become shorter while it was sent", u.file.Name)
			case errors.Is(err, io.EOF):
				err = nil
			case err != nil:
				err = unreadable(u.file.Name, err)
			}
			return n, err
		}
		_ = f.file.Close() // it was only read
		f.file, f.uploads, f.between = nil, f.uploads[1:], f.between[1:]
		f.text.Reset(f.between[0])
	}
}

// Close closes the file that is open.
func (f *formReader) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}
