package s3copy

import (
	"bufio"
	"crypto/md5" //nolint:gosec // names of files, and S3's checksums
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
)

// An entry is what a backup knows of an object.
type entry struct {
	key         string
	md5         string // in hexadecimal
	size        int64
	etag        string
	contentType string
}

// foldersInMemory bounds the sums that are held: lists come folder by folder, sub-folders between.
const foldersInMemory = 16

// sums are the checksums of a backup, a file for each folder of the bucket.
type sums struct {
	root *os.Root

	mu      sync.Mutex
	folders *lru.Cache[string, map[string]entry] // by the file's name; read only
}

func newSums(root *os.Root) *sums {
	cache, err := lru.New[string, map[string]entry](foldersInMemory)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &sums{root: root, folders: cache}
}

// sumsFile names the file that has the sums of a key's folder.
func sumsFile(key string) string {
	folder := ""
	if i := strings.LastIndexByte(key, '/'); i >= 0 {
		folder = key[:i]
	}
	sum := md5.Sum([]byte(folder)) //nolint:gosec // a name
	return sumsDir + "/" + hex.EncodeToString(sum[:]) + ".tsv"
}

// get finds the entry of a key as it was when the folder's sums were first looked at.
func (s *sums) get(key string) (entry, bool, error) {
	name := sumsFile(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	folder, ok := s.folders.Get(name)
	if !ok {
		folder = map[string]entry{}
		if err := s.read(name, func(e entry) { folder[e.key] = e }); err != nil {
			return entry{}, false, err
		}
		s.folders.Add(name, folder)
	}
	e, ok := folder[key]
	return e, ok, nil
}

// read gives every line of a file. A line that a crash cut short is none.
func (s *sums) read(name string, found func(entry)) error {
	f, err := s.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<10)
	for lines.Scan() {
		if e, ok := parseEntry(lines.Text()); ok {
			found(e)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s of the backup: %w", name, err)
	}
	return nil
}

// add appends an entry. The line begins with a line end, in case that a crash cut the one before it short.
func (s *sums) add(e entry) error {
	f, err := s.root.OpenFile(sumsFile(e.key), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString("\n" + e.line() + "\n")
	return errors.Join(err, f.Close())
}

func (e entry) line() string {
	return strings.Join([]string{e.md5, strconv.FormatInt(e.size, 10), plain(e.etag), plain(e.contentType), e.key}, "\t")
}

// plain takes away what would end a field.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

func parseEntry(line string) (entry, bool) {
	fields := strings.SplitN(line, "\t", 5)
	if len(fields) != 5 || !isMD5(fields[0]) || !validKey(fields[4]) {
		return entry{}, false
	}
	size, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil || size < 0 {
		return entry{}, false
	}
	return entry{md5: fields[0], size: size, etag: fields[2], contentType: fields[3], key: fields[4]}, true
}
