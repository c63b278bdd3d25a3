// Package bundle keeps a local copy of the model in an ML bundle on the server. A copy is a folder that is whole or not
// there: it is downloaded beside its place, each file's md5 is checked, and a rename puts it there. It may import
// stall, services/kit/readfault and services/spi.
package bundle

import (
	"context"
	"crypto/md5" //nolint:gosec // the protocol's checksum, not a signature
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/stall"
	"github.com/sticky-pi/sticky-pi-server/services/kit/readfault"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Name is the detector's bundle.
const Name = "universal-insect-detector"

// Keys in the bundle that detectors use. What else it holds, such as the old stack's model_final.pth, is left where it is.
const (
	ConfigKey  = "config/config.yaml"
	WeightsKey = "output/weights.safetensors"
)

// Bounds of a bundle's model.
const (
	maxFiles = 16
	maxBytes = 1 << 30 // of all files together
)

// staleAfter is when a copy that is not the last is taken away: other workers, which may share the folder, may use it till then.
const staleAfter = 24 * time.Hour

// leftAfter is when what nobody has written to is taken for what a killed worker left of a download: one that goes on writes more
// often than every stallAfter.
const leftAfter = time.Hour

// listWithin is how long the server may take for the bundle's list.
const listWithin = 5 * time.Minute

// stallAfter ends a download that makes no progress.
const stallAfter = time.Minute

const (
	manifestFile = "manifest.json"
	currentFile  = "current" // names the snapshot that was synced last
	incoming     = "incoming-"
	snapshot     = "model-"
)

var (
	modelKey = regexp.MustCompile(`^output/[A-Za-z0-9_][A-Za-z0-9_. -]*\.onnx$`)
	isMD5    = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

// Wanted says whether detectors use a file of the bundle.
func Wanted(key string) bool {
	return key == ConfigKey || key == WeightsKey || modelKey.MatchString(key)
}

// File is a file of a model.
type File struct {
	Key   string    `json:"key"` // its path in the bundle, with slashes
	MD5   string    `json:"md5"`
	MTime time.Time `json:"mtime"` // when it was pushed
}

// Model is a local copy of a bundle's model. The zero value is that of a bundle without one.
type Model struct {
	Dir   string
	Files []File // ordered by key
}

// Path is where the file of that key is on the disk.
func (m Model) Path(key string) string { return filepath.Join(m.Dir, filepath.FromSlash(key)) }

// File gives the file of that key.
func (m Model) File(key string) (File, bool) {
	i := slices.IndexFunc(m.Files, func(f File) bool { return f.Key == key })
	if i < 0 {
		return File{}, false
	}
	return m.Files[i], true
}

// ONNX gives the keys of the models for onnxruntime.
func (m Model) ONNX() []string {
	var keys []string
	for _, f := range m.Files {
		if strings.HasSuffix(f.Key, ".onnx") {
			keys = append(keys, f.Key)
		}
	}
	return keys
}

// API lists a bundle's files; *spi.Client is one.
type API interface {
	GetBundleFiles(ctx context.Context, bundle string, part spi.BundlePart) ([]spi.BundleFile, error)
}

// Folder holds copies of the bundle's model. Several workers may share it.
type Folder struct {
	API  API
	HTTP *http.Client
	Dir  string // made where it is missing
}

// ErrUnusable is in the chain of [Folder.Sync]'s error where it is what the bundle holds that no worker can use: waiting does not
// mend it, a push does.
var ErrUnusable = errors.New("no worker can use it")

// Sync gives a copy of the model that the server has now, after downloading what differs. An error that is not [ErrUnusable] means
// that what the bundle holds is not known, or is not here: the server or the store is away, a file of the bundle is not as the
// server lists it, or this machine cannot keep it. The copies that are there stay, and a later Sync may do better.
func (f *Folder) Sync(ctx context.Context) (Model, error) {
	asking, stop := context.WithTimeout(ctx, listWithin)
	defer stop()
	listed, err := f.API.GetBundleFiles(asking, Name, spi.BundleModel)
	if err != nil {
		return Model{}, fmt.Errorf("bundle %s: %w", Name, err)
	}
	// without a model for onnxruntime, nobody reads how to use it: the old stack's bundle has such a file
	configured := slices.ContainsFunc(listed, func(b spi.BundleFile) bool { return modelKey.MatchString(b.Key) })
	listed = slices.DeleteFunc(listed, func(b spi.BundleFile) bool { return !Wanted(b.Key) || b.Key == ConfigKey && !configured })
	if len(listed) > maxFiles {
		return Model{}, fmt.Errorf("bundle %s: %w: %d files of models, and %d are the most: remove those that are not used", Name, ErrUnusable, len(listed), maxFiles)
	}
	slices.SortFunc(listed, func(a, b spi.BundleFile) int { return strings.Compare(a.Key, b.Key) })
	var files []File
	for _, b := range listed {
		sum := strings.ToLower(b.MD5)
		if !isMD5.MatchString(sum) {
			return Model{}, fmt.Errorf("bundle %s: %w: the server's md5 of %s is %.40q: push the file again", Name, ErrUnusable, b.Key, b.MD5)
		}
		files = append(files, File{Key: b.Key, MD5: sum, MTime: time.UnixMilli(int64(b.MTime * 1000)).UTC()})
	}
	if len(files) == 0 {
		return Model{}, nil
	}
	id, err := identity(files)
	if err != nil {
		return Model{}, err
	}
	m, err := f.open(id)
	if err != nil {
		if err := f.download(ctx, id, files, listed); err != nil {
			return Model{}, fmt.Errorf("bundle %s: %w", Name, err)
		}
		if m, err = f.open(id); err != nil {
			return Model{}, fmt.Errorf("bundle %s: %w", Name, err)
		}
	}
	return m, nil
}

// identity names a snapshot by its content.
func identity(files []File) (string, error) {
	text, err := json.Marshal(files)
	if err != nil {
		return "", err
	}
	sum := md5.Sum(text) //nolint:gosec // it tells snapshots apart
	return snapshot + hex.EncodeToString(sum[:]), nil
}

// ErrNeverSynced is [Folder.Last]'s error before the first [Folder.Keep].
var ErrNeverSynced = errors.New("the bundle was never synced")

// Last gives the copy that was kept last, whether or not the server can be reached: none, where the bundle had none. Its files
// are as they were downloaded.
func (f *Folder) Last() (Model, error) {
	name, err := os.ReadFile(filepath.Join(f.Dir, currentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Model{}, ErrNeverSynced
	}
	if err != nil {
		return Model{}, fmt.Errorf("the bundle's folder: %w", err)
	}
	if len(name) == 0 {
		return Model{}, nil
	}
	id := string(name)
	if rest, ok := strings.CutPrefix(id, snapshot); !ok || !isMD5.MatchString(rest) {
		return Model{}, fmt.Errorf("the bundle's folder %s is damaged: the file %s names no model; remove it", f.Dir, currentFile)
	}
	return f.open(id)
}

// open reads a snapshot and checks its files.
func (f *Folder) open(id string) (Model, error) {
	m := Model{Dir: filepath.Join(f.Dir, id)}
	text, err := os.ReadFile(filepath.Join(m.Dir, manifestFile))
	if err != nil {
		return Model{}, err
	}
	if err := json.Unmarshal(text, &m.Files); err != nil {
		return Model{}, fmt.Errorf("%s: %w", filepath.Join(m.Dir, manifestFile), err)
	}
	for _, file := range m.Files {
		if !Wanted(file.Key) {
			return Model{}, fmt.Errorf("%s names %.80q, which is no file of a model", filepath.Join(m.Dir, manifestFile), file.Key)
		}
		sum, err := sumOf(m.Path(file.Key))
		if err != nil {
			return Model{}, err
		}
		if sum != file.MD5 {
			return Model{}, fmt.Errorf("%s was changed since its download", m.Path(file.Key))
		}
	}
	return m, nil
}

func sumOf(path string) (string, error) {
	in, err := os.Open(path) //nolint:gosec // below our folder: Wanted has seen the key
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }()
	h := md5.New() //nolint:gosec // see the import
	if _, err := io.Copy(h, in); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// download makes a snapshot.
func (f *Folder) download(ctx context.Context, id string, files []File, links []spi.BundleFile) error {
	if err := os.MkdirAll(f.Dir, 0o750); err != nil {
		return f.unwritable(err)
	}
	f.clear(func(name string) bool { return strings.HasPrefix(name, incoming) }) // they may be what fills the disk
	dir, err := os.MkdirTemp(f.Dir, incoming)
	if err != nil {
		return f.unwritable(err)
	}
	defer os.RemoveAll(dir)
	left := int64(maxBytes)
	for i, file := range files {
		path := filepath.Join(dir, filepath.FromSlash(file.Key))
		n, err := f.fetch(ctx, links[i].URL, path, file, left)
		if err != nil {
			return fmt.Errorf("%s: %w", file.Key, err)
		}
		left -= n
	}
	text, err := json.Marshal(files)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, manifestFile), text, 0o600); err != nil {
		return f.unwritable(err)
	}
	to := filepath.Join(f.Dir, id)
	if err := os.Rename(dir, to); err == nil {
		return nil
	}
	if _, err := f.open(id); err == nil {
		return nil // another worker was faster
	}
	// one that was damaged since
	if err := errors.Join(os.RemoveAll(to), os.Rename(dir, to)); err != nil {
		return f.unwritable(err)
	}
	return nil
}

// unwritable says what to do about a copy that cannot be written.
func (f *Folder) unwritable(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("there is no room for its copy in %s: make some: %w", f.Dir, err)
	}
	return fmt.Errorf("its copy cannot be written to %s, which must be a folder of user %d with room for it: %w", f.Dir, os.Getuid(), err)
}

// fetch downloads one file of at most that many bytes, and gives its length.
func (f *Folder) fetch(ctx context.Context, link, path string, file File, most int64) (int64, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return 0, f.unwritable(err)
	}
	ctx, progress := stall.Watch(ctx, stallAfter)
	defer progress.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return 0, errors.New("the server's link is no URL")
	}
	reply, err := f.HTTP.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the URL is a key to the file
		}
		return 0, err
	}
	defer func() { _ = reply.Body.Close() }()
	if reply.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the object store answered %s", reply.Status)
	}
	tooLarge := fmt.Errorf("%w: the model's files have more than %d MB together: push smaller ones, or remove those that are not used", ErrUnusable, maxBytes>>20)
	if reply.ContentLength > most { // every look for a model would download it in vain
		return 0, tooLarge
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // below our folder: Wanted has seen the key
	if err != nil {
		return 0, f.unwritable(err)
	}
	defer func() { _ = out.Close() }() // again, where it was closed already
	h := md5.New()                     //nolint:gosec // see the import
	from := &readfault.Reader{Reader: progress.Reader(io.LimitReader(reply.Body, most+1))}
	n, err := io.Copy(io.MultiWriter(out, h), from)
	if from.Err != nil {
		return n, fmt.Errorf("the download broke off after %d bytes: %w", n, from.Err)
	}
	if err != nil {
		return n, f.unwritable(err)
	}
	if n > most {
		return n, tooLarge
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != file.MD5 {
		// it was pushed again meanwhile, or is damaged
		return n, fmt.Errorf("it came with md5 %s instead of %s: if that goes on, push it again", sum, file.MD5)
	}
	if err := errors.Join(out.Sync(), out.Close()); err != nil {
		return n, f.unwritable(err)
	}
	return n, nil
}

// Keep notes that a copy is of what the server has now, for [Folder.Last], and takes away those that nobody uses any more.
func (f *Folder) Keep(m Model) error {
	id := ""
	if m.Dir != "" {
		id = filepath.Base(m.Dir)
	}
	if err := os.MkdirAll(f.Dir, 0o750); err != nil {
		return fmt.Errorf("the bundle's folder cannot be made: %w", err)
	}
	path := filepath.Join(f.Dir, currentFile)
	if have, err := os.ReadFile(path); err != nil || string(have) != id { //nolint:gosec // our own
		if err := replace(path, []byte(id)); err != nil {
			return fmt.Errorf("the bundle's folder cannot be written: %w", err)
		}
	}
	f.clear(func(name string) bool { return name != id })
	return nil
}

// clear takes away what nobody uses any more of those downloads and copies whose names match. What cannot be removed, the next
// one tries again.
func (f *Folder) clear(match func(name string) bool) {
	entries, _ := os.ReadDir(f.Dir)
	for _, e := range entries {
		path := filepath.Join(f.Dir, e.Name())
		after := leftAfter
		switch {
		case strings.HasPrefix(e.Name(), snapshot):
			after = staleAfter
		case !strings.HasPrefix(e.Name(), incoming):
			continue
		}
		if match(e.Name()) && time.Since(lastWritten(path)) > after {
			_ = os.RemoveAll(path)
		}
	}
}

// lastWritten is when a file, or anything in a folder, was written to last; now, where that cannot be said.
func lastWritten(path string) time.Time {
	var last time.Time
	if err := filepath.WalkDir(path, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
		return err
	}); err != nil {
		return time.Now()
	}
	return last
}

// replace writes a file so that it is whole at any moment.
func replace(path string, data []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), incoming)
	if err != nil {
		return err
	}
	_, err = temporary.Write(data)
	err = errors.Join(err, temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
	}
	return err
}
