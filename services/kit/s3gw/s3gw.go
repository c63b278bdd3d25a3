// Package s3gw is an S3 server inside the process: versitygw over a folder, for local mode and for tests. Production runs it
// as a container of its own (cmd/spi-s3). The layout of files is stock versitygw's; an object is a plain file below its
// bucket's folder.
//
// It may import versitygw and the standard library, nothing of this project.
//
// What holds for the data: an object appears whole or not at all. Its bytes go to a file without a name (or, where the file
// system has no O_TMPFILE, to one in the bucket's hidden folder .sgwtmp) that is given its name when it is complete, so that
// neither a killed process nor two writers leave a mixture. versitygw itself calls fsync nowhere; this package makes PUT
// and presigned POST sync the bytes before the object gets its name, and the folders after, so that an answered upload
// survives a power cut and a visible object is never torn. Deletions, multipart uploads and copies, which the Sticky Pi
// server does not use for images, are not synced; neither are the side files that hold the metadata on file systems without
// extended attributes.
package s3gw

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// DefaultHealthPath answers GET with 200 without keys. No bucket can have its name, so it hides none.
const DefaultHealthPath = "/_health"

// The folders below Config.Dir.
const (
	ObjectsDir  = "objects"  // one folder a bucket; what a stand-alone `versitygw posix` takes as its root
	MetadataDir = "metadata" // only where the file system has no extended attributes; `versitygw posix --sidecar`
)

const (
	maxConnections = 1024
	maxRequests    = 512
	maxParts       = 10_000 // of a multipart upload, as in AWS
)

// Config says what [Run] serves and where.
type Config struct {
	Addr      string // host:port; the port must be given
	Dir       string // made where it is missing
	AccessKey string
	SecretKey string
	Region    string // us-east-1 where empty; the clients' signatures must name it

	HealthPath string // DefaultHealthPath where empty

	// NoSync leaves the bytes to the kernel: faster, for tests and data that may be lost in a power cut.
	NoSync bool

	// Ready, where not nil, is called once, when the server accepts connections.
	Ready func()
}

var running atomic.Bool

// ErrRunning is what a second Run gives while the first is running: versitygw keeps settings in package variables.
var ErrRunning = errors.New("s3gw: an S3 server runs in this process already; one is the limit")

// Run serves until ctx is done, then finishes the requests under way (for ten seconds at most) and gives nil.
//
// While it runs, the working directory of the whole process is the folder of the buckets: versitygw works with relative
// paths. Make every other path of the process absolute first. The former working directory comes back when Run returns.
func Run(ctx context.Context, cfg Config) (err error) {
	if err := cfg.check(); err != nil {
		return err
	}
	// Before anything else: making the back end changes the working directory, which would pull it away from under a
	// server that is running.
	if !running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer running.Store(false)

	before, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("s3gw: %w", err)
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return fmt.Errorf("s3gw: %w", err)
	}
	objects := filepath.Join(dir, ObjectsDir)
	if err := os.MkdirAll(objects, 0o750); err != nil {
		return fmt.Errorf("s3gw: the folder of the objects: %w", err)
	}
	storer, err := metadata(objects, filepath.Join(dir, MetadataDir), xattrs)
	if err != nil {
		return err
	}
	var opts posix.PosixOpts
	opts.SetNewDirPerm(0o750)
	opts.SetNewFilePerm(0o640)
	back, err := posix.New(objects, storer, opts)
	if err != nil {
		return fmt.Errorf("s3gw: %w", err)
	}
	defer func() { err = errors.Join(err, os.Chdir(before)) }()

	gw := embedgw.Config{
		RootUserAccess: cfg.AccessKey,
		RootUserSecret: cfg.SecretKey,
		Region:         cfg.Region,
		Ports:          []string{cfg.Addr},
		HealthPath:     cfg.HealthPath,
		KeepAlive:      true,
		Quiet:          true,
		MaxConnections: maxConnections,
		MaxRequests:    maxRequests,

		MultipartMaxParts: maxParts,
		// Given rather than left to embedgw, which then prints a line to the standard output.
		IAMService: auth.NewIAMServiceSingle(auth.Account{
			Access: cfg.AccessKey, Secret: cfg.SecretKey, Role: auth.RoleAdmin,
		}),
	}
	if gw.HealthPath == "" {
		gw.HealthPath = DefaultHealthPath
	}
	if cfg.Ready != nil {
		gw.S3Options = append(gw.S3Options, s3api.WithOnListen(cfg.Ready))
	}
	if err := embedgw.RunVersityGW(ctx, &synced{Posix: back, root: objects, off: cfg.NoSync}, &gw); err != nil {
		return fmt.Errorf("s3gw: %w", err)
	}
	return nil
}

func (c Config) check() error {
	_, port, err := net.SplitHostPort(c.Addr)
	switch {
	case err != nil, port == "", port == "0":
		return fmt.Errorf("s3gw: Addr %q: give host:port, with the port", c.Addr)
	case c.Dir == "":
		return errors.New("s3gw: Dir is empty: name the folder that holds the objects")
	case c.AccessKey == "" || c.SecretKey == "":
		return errors.New("s3gw: AccessKey and SecretKey must both be given")
	case c.HealthPath != "" && c.HealthPath[0] != '/':
		return fmt.Errorf("s3gw: HealthPath %q must begin with /", c.HealthPath)
	}
	return nil
}

// xattrs says whether files below dir can carry extended attributes, by trying.
func xattrs(dir string) error {
	const name = "sticky-pi-test"
	x := meta.XattrMeta{}
	if err := x.StoreAttribute(nil, dir, "", name, []byte("1")); err != nil {
		return err
	}
	return x.DeleteAttribute(dir, "", name)
}

// metadata chooses where ETags and content types are kept. Extended attributes are the better place: they get to the file
// before it has its name, and move and vanish with it. The choice of the first start stays, since the other place would
// be empty.
func metadata(objects, side string, try func(dir string) error) (meta.MetadataStorer, error) {
	if _, err := os.Stat(side); err == nil {
		return sidecar(side)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("s3gw: %w", err)
	}
	noXattrs := try(objects)
	if noXattrs == nil {
		return meta.XattrMeta{}, nil
	}
	if !errors.Is(noXattrs, errors.ErrUnsupported) {
		return nil, fmt.Errorf("s3gw: the folder of the objects cannot be given an extended attribute: mend its owner and mode, or the disk: %w", noXattrs)
	}
	entries, err := os.ReadDir(objects)
	if err != nil {
		return nil, fmt.Errorf("s3gw: %w", err)
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("s3gw: the objects in %s were stored with extended attributes, which this file system does not"+
			" keep (%w): move the folder to one that does (ext4, xfs, btrfs), copying with `cp -a` or `rsync -aX`", objects, noXattrs)
	}
	if err := os.MkdirAll(side, 0o750); err != nil {
		return nil, fmt.Errorf("s3gw: the file system of %s keeps no extended attributes (%w), and the folder %s, for what would be kept"+
			" in them, cannot be made (%w): put the objects on a file system that keeps them (ext4, xfs, btrfs), or let %s be written",
			objects, noXattrs, side, err, filepath.Dir(side))
	}
	return sidecar(side)
}

func sidecar(dir string) (meta.MetadataStorer, error) {
	s, err := meta.NewSideCar(dir)
	if err != nil {
		return nil, fmt.Errorf("s3gw: the folder of the metadata: %w", err)
	}
	return s, nil
}

// synced is the posix back end with durable puts.
type synced struct {
	*posix.Posix
	root string
	off  bool
}

// PutObject is what PUT and presigned POST call.
func (s *synced) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	out, err := s.put(ctx, in)
	if err != nil {
		return out, err
	}
	// versitygw says that all went well, and has stored nothing, where the object's folder was there when it wanted to make it
	// and is not when it looks: another upload made it, and a deletion took it away as it got empty.
	if _, err := os.Stat(filepath.Join(s.root, *in.Bucket, *in.Key)); errors.Is(err, fs.ErrNotExist) {
		return s3response.PutObjectOutput{}, s3err.GetAPIError(s3err.ErrSlowDown) // a 503: clients try again
	}
	return out, nil
}

func (s *synced) put(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	if s.off {
		return s.Posix.PutObject(ctx, in)
	}
	out, err := s.PutObjectWithPostFunc(ctx, in, (*os.File).Sync)
	if err != nil {
		return out, err
	}
	// The name is in the object's folder, and the folder may be new in its own: every level up to the bucket. A folder
	// that has nothing to write costs next to nothing.
	bucket := filepath.Join(s.root, *in.Bucket)
	for dir := filepath.Dir(filepath.Join(bucket, *in.Key)); strings.HasPrefix(dir, bucket); dir = filepath.Dir(dir) {
		// A folder that is gone was emptied by a deletion meanwhile; there is nothing left to make durable.
		if err := syncDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return s3response.PutObjectOutput{}, err
		}
	}
	return out, nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir) //nolint:gosec // a folder that versitygw has just written to, from a key that it has checked
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
