// Package fsck holds the database and the object store against each other, finds what is missing, left over or damaged, and
// mends what can be mended without losing anything. It may run while servers do.
//
// It may import store, blob, ingest, tuboids (for the keys of objects) and services/spi.
package fsck

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
	"github.com/sticky-pi/sticky-pi-server/server/internal/ingest"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
)

// Kind says what is wrong.
type Kind string

// The faults, and what mends them.
const (
	MissingOriginal  Kind = "missing-original"  // a row's photograph is not there; DeleteRows
	WrongOriginal    Kind = "wrong-original"    // it is not the one that was uploaded; nothing
	MissingThumbnail Kind = "missing-thumbnail" // Repair makes it again
	WrongThumbnail   Kind = "wrong-thumbnail"   // it is empty, or (Deep) damaged; Repair makes it again
	LeftObject       Kind = "left-object"       // no row speaks of the object; DeleteObjects, but those of tuboids
	MissingTuboid    Kind = "missing-tuboid"    // one of a tuboid's files is not there; nothing
	WrongTuboid      Kind = "wrong-tuboid"      // (Deep) it is damaged; nothing
	Queue            Kind = "queue"             // a fault of the detectors' queue; Repair
)

// Fault is something that is wrong.
type Fault struct {
	Kind   Kind
	What   string // an object's key, or an image of the queue
	Detail string // for the operator
	Mended bool
}

func (f Fault) String() string {
	s := fmt.Sprintf("%s %s: %s", f.Kind, f.What, f.Detail)
	if f.Mended {
		s += " (mended)"
	}
	return s
}

// Options say how far to go.
type Options struct {
	Deep   bool // read every byte, and hold its md5 against the row and the ETag
	Repair bool // make thumbnails again, put the queue right
	// DeleteObjects deletes what no row speaks of, and is older than an hour, from the folders of images.
	DeleteObjects bool
	// DeleteRows deletes the images whose photograph is gone, with all that hangs on them.
	DeleteRows bool
}

// Progress says how far a run has come.
type Progress struct {
	Stage                         string // "images", "left-over folders", "tuboids", "queue"
	At                            string // the device, or the like, that is being looked at
	Images, Tuboids, Objects      int64
	Bytes                         int64 // read by Deep
	Faults, Mended, TooYoungToSay int64
}

// Config says with what to work. All but the functions must be there.
type Config struct {
	Options
	Store       store.Store
	Tuboids     store.Tuboids
	Work        store.Work
	Blobs       blob.Store
	Thumbnailer ingest.Thumbnailer
	Now         func() time.Time // time.Now where nil
	Fault       func(Fault)      // called with each fault, once it is mended or not; may be nil
	Progress    func(Progress)   // called after every row, and often between; may be nil
}

// young is the age of an object up to which the upload that put it may still be under way.
const young = time.Hour

// maxPending bounds the deletions of one run.
const maxPending = 10_000

type run struct {
	Config
	progress Progress
	whole    int64     // originals that are there and right
	pending  []pending // deletions, which wait for the end
}

// pending is a fault that a deletion would mend.
type pending struct {
	kind         Kind
	what, detail string
	mend         func() error
}

// Run looks at everything once. Its result's Faults minus Mended are what remains. An error means that it could not go on.
func Run(ctx context.Context, c Config) (Progress, error) {
	r := &run{Config: c}
	if r.Now == nil {
		r.Now = time.Now
	}
	for _, stage := range []struct {
		name string
		do   func(context.Context) error
	}{{"images", r.images}, {"tuboids", r.tuboids}, {"queue", r.queue}} {
		r.at(stage.name, "")
		if err := stage.do(ctx); err != nil {
			return r.progress, err
		}
	}
	return r.progress, nil
}

func (r *run) at(stage, what string) {
	r.progress.Stage, r.progress.At = stage, what
	r.tell()
}

func (r *run) tell() {
	if r.Progress != nil {
		r.Progress(r.progress)
	}
}

// fault reports a fault, and what became of it. An attempt to mend it that failed is told with it, and ends nothing.
func (r *run) fault(kind Kind, what, detail string, mend func() error) {
	f := Fault{Kind: kind, What: what, Detail: detail}
	if mend != nil {
		if err := mend(); err != nil {
			f.Detail += "; mending it failed: " + err.Error()
		} else {
			f.Mended = true
		}
	}
	r.note(f)
}

func (r *run) note(f Fault) {
	r.progress.Faults++
	if f.Mended {
		r.progress.Mended++
	}
	if r.Fault != nil {
		r.Fault(f)
	}
	r.tell()
}

// after notes a fault that a deletion would mend. What is deleted is decided once all images were seen.
func (r *run) after(kind Kind, what, detail string, mend func() error) {
	if len(r.pending) == maxPending {
		r.fault(kind, what, detail+"; there are too many to delete at once: run fsck again", nil)
		return
	}
	r.pending = append(r.pending, pending{kind, what, detail, mend})
}

// deleteLeft does the deletions, unless what is there speaks against it: with another server's bucket or database, nearly
// everything would have to go.
func (r *run) deleteLeft() {
	trusted := 3*r.whole >= int64(len(r.pending))
	for _, p := range r.pending {
		if !trusted {
			p.detail += "; nothing is deleted, since most is missing: is it the right bucket and database?"
			p.mend = nil
		}
		r.fault(p.kind, p.what, p.detail, p.mend)
	}
	r.pending = nil
}

// queue looks for stranded images and leases that outlived their time.
func (r *run) queue(ctx context.Context) error {
	return r.Work.CheckWork(ctx, r.Now().Add(-time.Hour), r.Repair, func(f store.WorkFault) error {
		r.note(Fault{
			Kind:   Queue,
			What:   fmt.Sprintf("%s of %s at %s", f.AlgoName, f.Device, f.Datetime.UTC().Format(time.DateTime)),
			Detail: string(f.Kind) + ": " + f.Detail, Mended: f.Repaired,
		})
		return nil
	})
}

// everything is a span that no date lies outside of.
func everything() []store.Series {
	return []store.Series{{
		Device: "%", Start: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), End: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}}
}

// exactly makes a LIKE pattern of a device that matches it alone.
var exactly = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
