package spi

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the protocol's checksum, not a signature
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// GetBundleFiles lists the files of an ML bundle, ordered by key; there are none of a bundle that is not there.
func (c *Client) GetBundleFiles(ctx context.Context, bundle string, part BundlePart) ([]BundleFile, error) {
	name, err := json.Marshal(bundle)
	if err != nil {
		return nil, Wrap(CodeInvalid, err, "the bundle's name cannot be written as JSON")
	}
	endpoint := "_get_ml_bundle_file_list/" + url.PathEscape(string(part))
	reply, err := c.do(ctx, request{
		endpoint: endpoint, contentType: "application/json", length: int64(len(name)),
		body: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(name)), nil },
	})
	if err != nil {
		return nil, err
	}
	defer discard(reply.Body)
	files, err := Collect(rows[BundleFile](reply.Body))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("%s: %w", endpoint, context.Cause(ctx))
	case err != nil:
		return nil, err
	}
	return files, nil
}

// GetBundleUploadLinks gives those of the files that the server wants, with a way to upload each: those it does not have, or
// has with another md5 and from before MTime. A link is used at once: some stores take it for no longer than an hour.
func (c *Client) GetBundleUploadLinks(ctx context.Context, files ...NewBundleFile) ([]BundleUpload, error) {
	return call[BundleUpload](ctx, c, "_get_ml_bundle_upload_links", files, false)
}

// BundleProgress tells how far a [Client.PushBundle] or [Client.PullBundle] has come. Done counts bytes of the file Key, of
// which there are Size; Files of OfFiles are finished.
type BundleProgress struct {
	Key            string
	Done, Size     int64
	Files, OfFiles int
}

// freshLink is how long a link for an upload is used after it was given.
const freshLink = 30 * time.Minute

// localFile is a file of a bundle's folder.
type localFile struct {
	NewBundleFile
	path string
	size int64
}

// PushBundle uploads the files of a folder to the bundle, those alone that the server wants, and gives the keys of the files
// uploaded. Files whose name the server would not serve ([ServedInBundles]) and hidden files are left out. CodeConflict where
// the server holds another md5 afterwards: what it has is changed by none that was written before that was put there. Where it
// fails, what was uploaded stays, and the next call goes on from there. progress may be nil.
func (c *Client) PushBundle(ctx context.Context, bundle, dir string, progress func(BundleProgress)) ([]string, error) {
	files, err := bundleFilesIn(ctx, bundle, dir)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, Errorf(CodeInvalid, "the folder holds no file of a bundle: their names end in %s", strings.Join(BundleSuffixes, ", "))
	}
	asked := make([]NewBundleFile, len(files))
	byKey := make(map[string]localFile, len(files))
	for i, f := range files {
		asked[i], byKey[f.Key] = f.NewBundleFile, f
	}
	given := c.now()
	wanted, err := c.GetBundleUploadLinks(ctx, asked...)
	if err != nil {
		return nil, err
	}
	var pushed []string
	for i, link := range wanted {
		file, ok := byKey[link.Key]
		if !ok {
			return pushed, Errorf(CodeInternal, "the server wants %.80q, which it was not offered", link.Key)
		}
		if c.now().Sub(given) > freshLink {
			again, err := c.GetBundleUploadLinks(ctx, file.NewBundleFile)
			if err != nil {
				return pushed, err
			}
			if len(again) == 0 {
				continue // somebody else uploaded it meanwhile
			}
			link = again[0]
		}
		tell := func(done int64) {
			if progress != nil {
				progress(BundleProgress{Key: file.Key, Done: done, Size: file.size, Files: i, OfFiles: len(wanted)})
			}
		}
		if err := c.postFile(ctx, link, file, tell); err != nil {
			return pushed, err
		}
		pushed = append(pushed, file.Key)
	}
	return pushed, c.checkPushed(ctx, bundle, files, pushed)
}

// checkPushed holds what the server has against the files, of which those with the keys pushed were uploaded.
func (c *Client) checkPushed(ctx context.Context, bundle string, files []localFile, pushed []string) error {
	there, err := c.GetBundleFiles(ctx, bundle, WholeBundle)
	if err != nil {
		return err
	}
	has := make(map[string]string, len(there))
	for _, f := range there {
		has[f.Key] = f.MD5
	}
	var kept []string
	for _, f := range files {
		switch {
		case strings.EqualFold(has[f.Key], f.MD5):
		case slices.Contains(pushed, f.Key):
			return Errorf(CodeConflict, "%.80q was uploaded with md5 %s, the server has %q: was it changed meanwhile?", f.Key, f.MD5, has[f.Key])
		default:
			kept = append(kept, f.path)
		}
	}
	if len(kept) > 0 {
		return Errorf(CodeConflict, "the server keeps its own, which were pushed after yours were written: to replace them, touch %s and push again",
			strings.Join(kept, " "))
	}
	return nil
}

// bundleFilesIn gives the files of a folder that a bundle serves, ordered by key.
func bundleFilesIn(ctx context.Context, bundle, dir string) ([]localFile, error) {
	var files []localFile
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case path != dir && strings.HasPrefix(entry.Name(), "."):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir() || !ServedInBundles(entry.Name()):
			return nil
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		sum, info, err := fileSum(path)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return nil
		}
		files = append(files, localFile{
			NewBundleFile: NewBundleFile{
				BundleName: bundle, Key: filepath.ToSlash(relative), MD5: sum, MTime: float64(info.ModTime().UnixMilli()) / 1000,
			},
			path: path, size: info.Size(),
		})
		return nil
	})
	if err != nil {
		return nil, Wrap(CodeInvalid, err, "the folder of the bundle cannot be read")
	}
	slices.SortFunc(files, func(a, b localFile) int { return strings.Compare(a.Key, b.Key) })
	return files, nil
}

// fileSum gives a file's md5 and what else there is to say of it.
func fileSum(path string) (sum string, info fs.FileInfo, err error) {
	// before it is opened, which waits for a writer where it is a pipe
	if info, err = os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return "", info, err
	}
	f, err := os.Open(path) //nolint:gosec // in the folder that the caller names
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	if info, err = f.Stat(); err != nil {
		return "", nil, err
	}
	h := md5.New() //nolint:gosec // see the import
	if _, err := io.Copy(h, f); err != nil {
		return "", nil, err
	}
	return hex.EncodeToString(h.Sum(nil)), info, nil
}

// postFile sends a file by its link, as often as the rules for retries allow.
func (c *Client) postFile(ctx context.Context, link BundleUpload, file localFile, tell func(done int64)) error {
	var text bytes.Buffer
	w := multipart.NewWriter(&text)
	for name, value := range link.URL.Fields {
		if err := w.WriteField(name, value); err != nil {
			return Wrap(CodeInternal, err, "the form of %.80q cannot be made", file.Key)
		}
	}
	if _, err := w.CreateFormFile("file", filepath.Base(file.path)); err != nil {
		return Wrap(CodeInternal, err, "the form of %.80q cannot be made", file.Key)
	}
	head := bytes.Clone(text.Bytes())
	text.Reset()
	if err := w.Close(); err != nil {
		return Wrap(CodeInternal, err, "the form of %.80q cannot be made", file.Key)
	}
	tail := text.Bytes()

	attempts := c.retry.begin()
	for {
		failed := c.postOnce(ctx, link.URL.URL, w.FormDataContentType(), head, tail, file, tell)
		if failed == nil {
			return nil
		}
		if !failed.again {
			return failed.err
		}
		if err := attempts.next(ctx, failed.err); err != nil {
			return err
		}
	}
}

func (c *Client) postOnce(ctx context.Context, to, contentType string, head, tail []byte, file localFile, tell func(int64)) *failure {
	f, err := os.Open(file.path)
	if err != nil {
		return &failure{err: unreadable(file.Key, err)}
	}
	defer func() { _ = f.Close() }() // it was only read
	body := io.MultiReader(bytes.NewReader(head), &counted{r: io.LimitReader(f, file.size), tell: tell}, bytes.NewReader(tail))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, io.NopCloser(body))
	if err != nil {
		return &failure{err: Wrap(CodeInternal, err, "the server's link for %.80q is no URL", file.Key)}
	}
	req.ContentLength = int64(len(head)) + file.size + int64(len(tail))
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", c.userAgent)
	reply, err := c.roundTrip(req, stallsAfter)
	if err != nil {
		return connectionFailure(ctx, "upload of "+file.Key, err)
	}
	defer discard(reply.Body)
	if reply.StatusCode/100 == 2 {
		return nil
	}
	return c.storeFailure(reply, "upload "+file.Key)
}

// storeFailure makes an error of what the object store answered.
func (c *Client) storeFailure(reply *http.Response, what string) *failure {
	text, _ := io.ReadAll(io.LimitReader(reply.Body, maxErrorBody)) // what has come is all there is to show
	code := CodeOfStatus(reply.StatusCode)
	if reply.StatusCode == http.StatusForbidden || reply.StatusCode == http.StatusUnauthorized {
		code = CodeUnavailable // of a link, not of the user: a new one may do
	}
	e := Wrap(code, fmt.Errorf("%s: %s", what, plain([]byte(strings.TrimLeft(string(text), "<")))),
		"the object store answered %s to the %.120s", reply.Status, what)
	again := reply.StatusCode >= http.StatusInternalServerError || reply.StatusCode == http.StatusTooManyRequests
	return &failure{err: e, status: reply.StatusCode, again: again}
}

// counted tells how much was read.
type counted struct {
	r    io.Reader
	done int64
	tell func(int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if n > 0 {
		c.done += int64(n)
		c.tell(c.done)
	}
	return n, err
}

// PullBundle brings a folder up to date with the bundle's files, downloading those alone that differ, and gives their keys.
// A file is replaced once it has come whole and with the right md5; its time is set to the server's. Files that the bundle
// does not have are left alone, and hidden files of the bundle left out: no push of ours put them there, and in the folder they
// could be other programs' settings. A download that was interrupted is taken up where it ended, by this call or the next.
// CodeNotFound where the bundle has no files. progress may be nil.
func (c *Client) PullBundle(ctx context.Context, bundle string, part BundlePart, dir string, progress func(BundleProgress)) ([]string, error) {
	files, err := c.GetBundleFiles(ctx, bundle, part)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, Errorf(CodeNotFound, "there is no bundle %.80q, or it has no files of the kind %q", bundle, part)
	}
	var missing []BundleFile
	for _, f := range files {
		local := filepath.FromSlash(f.Key)
		if !filepath.IsLocal(local) {
			return nil, Errorf(CodeInvalid, "the server's file %.80q would lie outside of the folder", f.Key)
		}
		if strings.HasPrefix(f.Key, ".") || strings.Contains(f.Key, "/.") {
			continue
		}
		sum, _, err := fileSum(filepath.Join(dir, local))
		switch {
		case err == nil && strings.EqualFold(sum, f.MD5):
		case err == nil || errors.Is(err, fs.ErrNotExist):
			missing = append(missing, f)
		default:
			return nil, unreadable(f.Key, err)
		}
	}
	var pulled []string
	for i, f := range missing {
		tell := func(done, size int64) {
			if progress != nil {
				progress(BundleProgress{Key: f.Key, Done: done, Size: size, Files: i, OfFiles: len(missing)})
			}
		}
		if err := c.pullFile(ctx, f, filepath.Join(dir, filepath.FromSlash(f.Key)), tell); err != nil {
			return pulled, err
		}
		pulled = append(pulled, f.Key)
	}
	return pulled, nil
}

// pullFile downloads one file beside its place, and moves it there once it is right.
func (c *Client) pullFile(ctx context.Context, f BundleFile, path string, tell func(done, size int64)) error {
	cannot := func(err error) error { return Wrap(CodeInvalid, err, "%.80q cannot be written", f.Key) }
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return cannot(err)
	}
	if !isHex(f.MD5) {
		return Errorf(CodeInternal, "the server's md5 of %.80q is %.80q", f.Key, f.MD5)
	}
	// the md5 is in its name, so that what is taken up is a part of the same file
	part := path + "." + strings.ToLower(f.MD5) + ".part"
	out, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644) //nolint:gosec // likewise: a local path below it
	if err != nil {
		return cannot(err)
	}
	defer func() { _ = out.Close() }() // again, where it was closed already
	attempts := c.retry.begin()
	for {
		h := md5.New() //nolint:gosec // see the import
		failed := c.pullOnce(ctx, f, out, h, tell)
		if failed == nil {
			if sum := hex.EncodeToString(h.Sum(nil)); !strings.EqualFold(sum, f.MD5) {
				failed = &failure{err: Errorf(CodeUnavailable, "%.80q came with md5 %s instead of %s", f.Key, sum, f.MD5), again: true}
				if err := out.Truncate(0); err != nil {
					return cannot(err)
				}
			}
		}
		if failed == nil {
			break
		}
		if !failed.again {
			return failed.err
		}
		if err := attempts.next(ctx, failed.err); err != nil {
			return err
		}
	}
	if err := errors.Join(out.Sync(), out.Close()); err != nil {
		return cannot(err)
	}
	at := time.UnixMilli(int64(f.MTime * 1000))
	if err := errors.Join(os.Chtimes(part, at, at), os.Rename(part, path)); err != nil {
		return cannot(err)
	}
	return nil
}

func isHex(s string) bool {
	return len(s) == 2*md5.Size && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// pullOnce makes one attempt to get what is missing in out, and gives all of out's bytes to h.
func (c *Client) pullOnce(ctx context.Context, f BundleFile, out *os.File, h hash.Hash, tell func(done, size int64)) *failure {
	cannot := func(err error) *failure {
		return &failure{err: Wrap(CodeInvalid, err, "%.80q cannot be written", f.Key)}
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return cannot(err)
	}
	have, err := io.Copy(h, out)
	if err != nil {
		return cannot(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL, nil)
	if err != nil {
		return &failure{err: Wrap(CodeInternal, err, "the server's link for %.80q is no URL", f.Key)}
	}
	req.Header.Set("User-Agent", c.userAgent)
	req.Header.Set("Accept-Encoding", "identity") // a part of a compressed file is no part of the file
	if have > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(have, 10)+"-")
	}
	reply, err := c.roundTrip(req, stallsAfter)
	if err != nil {
		return connectionFailure(ctx, "download of "+f.Key, err)
	}
	defer discard(reply.Body)
	switch {
	case reply.StatusCode == http.StatusPartialContent && have > 0 &&
		strings.HasPrefix(reply.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", have)):
	case reply.StatusCode == http.StatusOK:
		have = 0
	case reply.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return nil // all of it is there, or what is there is wrong: the md5 tells
	default:
		return c.storeFailure(reply, "download "+f.Key)
	}
	if have == 0 {
		h.Reset()
		if err := out.Truncate(0); err != nil {
			return cannot(err)
		}
	}
	if _, err := out.Seek(have, io.SeekStart); err != nil {
		return cannot(err)
	}
	size := have + max(reply.ContentLength, 0)
	in := &counted{r: reply.Body, done: have, tell: func(done int64) { tell(done, size) }}
	_, err = io.Copy(io.MultiWriter(writerOf{out}, h), in)
	var mine *writeError
	switch {
	case errors.As(err, &mine):
		return cannot(mine.error)
	case ctx.Err() != nil:
		return &failure{err: fmt.Errorf("download of %s: %w", f.Key, context.Cause(ctx))}
	case err != nil:
		return &failure{err: Wrap(CodeUnavailable, err, "the download of %.80q broke off", f.Key), again: true}
	}
	return nil
}

// writerOf tells an error of the disk here from one of the network.
type writerOf struct{ *os.File }

type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }

func (w writerOf) Write(p []byte) (int, error) {
	n, err := w.File.Write(p)
	if err != nil {
		err = &writeError{err}
	}
	return n, err
}
