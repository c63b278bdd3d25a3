package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	kitprogress "github.com/sticky-pi/sticky-pi-server/services/kit/progress"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/upload"
)

type uploadCmd struct {
	Paths []string `arg:"" name:"path" type:"path" help:"Folders, such as a mounted card, or single files."`

	DryRun            bool          `short:"n" help:"Only say what would be uploaded; the files are read and checked."`
	DeleteAfterVerify bool          `help:"Delete each file here once the server has named its md5 in this run."`
	Watch             bool          `help:"Go on for files that appear, until Ctrl-C."`
	Recursive         bool          `default:"true" negatable:"" help:"Enter the folders inside the folders."`
	Limit             string        `placeholder:"RATE" help:"Bandwidth for all files together, such as 500KB/s."`
	Workers           int           `default:"8" placeholder:"N" help:"How many files to send at a time, at most (1 to 64); a bad line gets fewer by itself. Default ${default}."`
	GiveUpAfter       time.Duration `default:"1h" placeholder:"TIME" help:"How long to wait for a server or a line that is away. Default ${default}."`
	JSON              bool          `name:"json" help:"Write the report as JSON."`
	Journal           string        `type:"path" hidden:"" env:"SPI_JOURNAL" placeholder:"FILE" help:"Where the files' md5 are kept, instead of the user's folder of caches."`
}

// Help is shown by spi upload --help.
func (uploadCmd) Help() string {
	return `Files are images where they are named DEVICE.YYYY-MM-DD_HH-MM-SS.jpg. Those that the server has are passed over; the
others are sent and count once the server has named their md5. Nothing on the server is ever overwritten. Give the same
command again after an interruption of any kind: it goes on at once.`
}

// Run uploads.
func (c uploadCmd) Run(ctx context.Context, a *app) error {
	if c.Workers < 1 || c.Workers > 64 {
		return usagef("--workers must be 1 to 64, not %d", c.Workers)
	}
	if c.GiveUpAfter <= 0 {
		return usagef("--give-up-after must be longer than %s", c.GiveUpAfter)
	}
	var limit int64
	if c.Limit != "" {
		var err error
		if limit, err = upload.ParseRate(c.Limit); err != nil {
			return usagef("--limit: %s", err)
		}
	}
	client, err := a.client(spi.WithBadLine())
	if err != nil {
		return err
	}
	show := a.uploadShow(c.DryRun)
	report, err := upload.New(client, upload.Options{
		Server: a.host(), Journal: c.Journal, Workers: c.Workers, Limit: limit, GiveUpAfter: c.GiveUpAfter,
		Flat: !c.Recursive, DryRun: c.DryRun, DeleteAfterVerify: c.DeleteAfterVerify, Watch: c.Watch,
		OnProgress: show.update, OnOutcome: show.outcome, OnNote: func(text string) { show.Printf("%s", printable(text)) },
	}).Run(ctx, c.Paths...)
	show.Stop()
	if c.Watch && errors.Is(err, errInterrupted) {
		err = nil // watching ends no other way
	}
	if writeErr := c.write(a, report); writeErr != nil {
		return writeErr
	}
	if err == nil && report.Failed > 0 {
		return partlyf("%d failed: the lines above say why", report.Failed)
	}
	return err
}

// write writes the report to standard output.
func (c uploadCmd) write(a *app, r upload.Report) error {
	if c.JSON {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		_, err = a.out.Write(append(harmless(text), '\n'))
		return err
	}
	_, err := fmt.Fprintln(a.out, uploadSummary(r))
	return err
}

func uploadSummary(r upload.Report) string {
	text := fmt.Sprintf("%d of %d images uploaded (%s), %s there already", r.Uploaded, r.Found, kitprogress.Size(r.UploadedBytes), kitprogress.Count(r.AlreadyThere, "was", "were"))
	if r.DryRun {
		text = fmt.Sprintf("%d of %d images would be uploaded (%s), %s there already", r.WouldUpload, r.Found, kitprogress.Size(r.WouldBytes), kitprogress.Count(r.AlreadyThere, "is", "are"))
	}
	if r.Deleted > 0 {
		text += fmt.Sprintf(", %d deleted here", r.Deleted)
	}
	if r.Failed > 0 {
		text += fmt.Sprintf(", %d failed", r.Failed)
	}
	if r.Ignored > 0 {
		text += fmt.Sprintf("; %s ignored", kitprogress.Count(r.Ignored, "other file", "other files"))
	}
	if !r.Complete && r.Stopped != "" {
		text += "; not complete"
	}
	return text
}

// uploadShow turns what the engine tells into the command's progress.
type uploadShow struct {
	*progress
	mu   sync.Mutex
	last upload.Progress
}

func (a *app) uploadShow(dryRun bool) *uploadShow {
	s := &uploadShow{}
	verb := "uploaded"
	if dryRun {
		verb = "to upload"
	}
	s.progress = a.progressOf(verb, "images", s.state)
	return s
}

func (s *uploadShow) update(p upload.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = p
}

func (s *uploadShow) state(time.Time) state {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.last
	return state{
		total: p.Files, counted: p.Counted, settled: p.Settled, done: p.Uploaded + p.WouldUpload, skipped: p.AlreadyThere, failed: p.Failed,
		totalBytes: p.Bytes, settledBytes: p.SettledBytes + p.MovingBytes, moved: p.UploadedBytes + p.MovingBytes,
		rate: p.Rate, left: p.ETA, waiting: p.Waiting != "",
	}
}

// outcome says a line of a file that failed.
func (s *uploadShow) outcome(o upload.Outcome) {
	if o.Action == upload.Failed {
		s.Printf("%s: %s (%s)", printable(o.Path), printable(o.Message), o.Code)
	}
}
