package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/cwriter"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/sticky-pi/sticky-pi-server/server"
	"github.com/sticky-pi/sticky-pi-server/services/kit/config"
	kitprogress "github.com/sticky-pi/sticky-pi-server/services/kit/progress"
)

// How often the progress of a copy is shown: on a terminal, and as lines.
const (
	drawEvery = 200 * time.Millisecond
	lineEvery = 10 * time.Second
)

type copyArgs struct {
	Dir     string `arg:"" help:"The backup's folder."`
	Workers int    `default:"8" help:"Objects at a time."`
}

type s3BackupCmd struct{ copyArgs }

func (c s3BackupCmd) Run(ctx context.Context) error { return c.run(ctx, server.BackupS3) }

type s3RestoreCmd struct{ copyArgs }

func (c s3RestoreCmd) Run(ctx context.Context) error { return c.run(ctx, server.RestoreS3) }

func (c copyArgs) run(ctx context.Context, do func(context.Context, server.S3, server.CopyOptions) error) error {
	src := config.Load()
	cfg := server.S3From(src)
	if err := src.Err(); err != nil {
		return err
	}
	var progress server.CopyProgress
	out := io.Writer(os.Stderr)
	var stop func()
	if cwriter.IsTerminal(int(os.Stderr.Fd())) {
		out, stop = drawProgress(os.Stderr, &progress)
	} else {
		stop = printProgress(os.Stderr, &progress)
	}
	err := do(ctx, cfg, server.CopyOptions{
		Dir: c.Dir, Workers: c.Workers, Progress: &progress,
		Fault: func(key string, err error) { fmt.Fprintf(out, "%q: %v\n", key, err) },
	})
	stop()
	fmt.Fprintln(os.Stdout, summary(&progress))
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: the same command goes on from here (%w)", ctx.Err())
	}
	return err
}

// summary is what a copy came to.
func summary(p *server.CopyProgress) string {
	seen, copied, faults := p.Seen.Load(), p.Copied.Load(), p.Faults.Load()
	return fmt.Sprintf("%s, %s: %d copied (%s), %s there already, %s",
		kitprogress.Count(seen, "object", "objects"), kitprogress.Size(p.SeenBytes.Load()), copied, kitprogress.Size(p.CopiedBytes.Load()),
		kitprogress.Count(seen-copied-faults, "was", "were"), kitprogress.Count(faults, "fault", "faults"))
}

// drawProgress draws a bar until stop; what is written to the writer appears above it.
func drawProgress(w io.Writer, p *server.CopyProgress) (out io.Writer, stop func()) {
	bars := mpb.New(mpb.WithOutput(w), mpb.WithWidth(40), mpb.WithRefreshRate(drawEvery))
	bar := bars.AddBar(0,
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string {
			return fmt.Sprintf("%d/%d objects ", p.Seen.Load(), p.Total.Load())
		})),
		mpb.AppendDecorators(decor.Counters(decor.SizeB1024(0), "% .1f / % .1f"), decor.Name(" "), decor.Elapsed(decor.ET_STYLE_GO),
			decor.Any(func(decor.Statistics) string {
				if p.Counted.Load() {
					return ""
				}
				return " (still counting)"
			})),
	)
	draw := func() {
		bar.SetTotal(max(p.TotalBytes.Load(), p.SeenBytes.Load()), false)
		bar.SetCurrent(p.SeenBytes.Load())
	}
	end := kitprogress.Every(drawEvery, draw)
	return bars, func() {
		end()
		draw()
		if all := p.TotalBytes.Load(); p.Counted.Load() && p.SeenBytes.Load() == all {
			bar.SetTotal(all, true)
		} else {
			bar.Abort(false) // what has been done stays to be seen
		}
		bars.Wait()
	}
}

func printProgress(w io.Writer, p *server.CopyProgress) (stop func()) {
	return kitprogress.Every(lineEvery, func() {
		of := fmt.Sprintf("%d and more objects", p.Total.Load())
		if p.Counted.Load() {
			of = kitprogress.Count(p.Total.Load(), "object", "objects")
		}
		fmt.Fprintf(w, "%d of %s, %d copied (%s), %s\n",
			p.Seen.Load(), of, p.Copied.Load(), kitprogress.Size(p.CopiedBytes.Load()), kitprogress.Count(p.Faults.Load(), "fault", "faults"))
	})
}

type s3CheckCmd struct{}

func (s3CheckCmd) Run(ctx context.Context) error {
	src := config.Load()
	cfg := server.S3From(src)
	if err := src.Err(); err != nil {
		return err
	}
	if err := server.CheckS3(ctx, cfg); err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "S3 takes the keys")
	return nil
}
