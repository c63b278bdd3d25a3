package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	kitprogress "github.com/sticky-pi/sticky-pi-server/services/kit/progress"
)

// How often progress is shown: drawn on a terminal, and as lines.
const (
	drawEvery = 200 * time.Millisecond
	lineEvery = 5 * time.Second
)

// progress shows how far a command with many files has come: a bar on a terminal, else a line every few seconds, on
// standard error. All methods may be called at once by several goroutines. Made by [app.progress]; ended by Stop, once.
type progress struct {
	verb, noun string // "uploaded", "images"
	started    time.Time

	total, totalBytes     atomic.Int64 // as far as is known
	counted               atomic.Bool
	done, skipped, failed atomic.Int64
	moved, settledBytes   atomic.Int64
	mu                    sync.Mutex // of out, where that is no bar
	out                   io.Writer  // lines of Printf go there
	stop                  func()
}

// progress begins to show how far a command has come. verb says what happens to the items and noun what they are:
// "uploaded", "images". With --quiet nothing is shown but the lines of Printf.
func (a *app) progress(verb, noun string) *progress {
	p := &progress{verb: verb, noun: noun, started: time.Now(), out: a.errs, stop: func() {}}
	switch {
	case a.Quiet:
	case isTerminal(a.errs):
		p.draw(a.errs)
	default:
		p.stop = kitprogress.Every(lineEvery, func() { p.Printf("%s", p.line(time.Now())) })
	}
	return p
}

// Expect adds items to what there is to do, and their bytes where those are known (0 where not).
func (p *progress) Expect(items, bytes int64) {
	p.total.Add(items)
	p.totalBytes.Add(bytes)
}

// Counted says that no more items will be expected.
func (p *progress) Counted() { p.counted.Store(true) }

// Moved adds bytes that crossed the network, as they cross it. For items whose bytes were given to Expect, the bytes of an
// attempt that failed are taken back by a negative number.
func (p *progress) Moved(bytes int64) { p.moved.Add(bytes) }

// Done counts an item that is finished, whose bytes were Moved.
func (p *progress) Done() { p.done.Add(1) }

// Skipped counts an item that had nothing to do, with its bytes as given to Expect.
func (p *progress) Skipped(bytes int64) {
	p.skipped.Add(1)
	p.settledBytes.Add(bytes)
}

// Failed counts an item that failed, with those of its bytes given to Expect that were not Moved. What was wrong is told by
// Printf.
func (p *progress) Failed(bytes int64) {
	p.failed.Add(1)
	p.settledBytes.Add(bytes)
}

// Printf writes a line for people, above the bar where there is one. Foreign text in it goes through [printable] first.
func (p *progress) Printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, format+"\n", args...)
}

// Stop ends the show and leaves the last state to be seen. It waits until everything is written.
func (p *progress) Stop() { p.stop() }

// line says in words how far it has come.
func (p *progress) line(now time.Time) string {
	text := fmt.Sprintf("%d of %s %s %s", p.done.Load(), p.count(), p.noun, p.verb)
	if n := p.skipped.Load(); n > 0 {
		text += fmt.Sprintf(", %d there already", n)
	}
	if n := p.failed.Load(); n > 0 {
		text += fmt.Sprintf(", %d failed", n)
	}
	return text + p.rates(now)
}

func (p *progress) count() string {
	if p.counted.Load() {
		return fmt.Sprint(p.total.Load())
	}
	return fmt.Sprintf("%d or more", p.total.Load())
}

// rates is the bytes moved, the rate and the time that is left.
func (p *progress) rates(now time.Time) string {
	moved, passed := p.moved.Load(), now.Sub(p.started)
	text := ""
	if moved > 0 {
		text = "; " + kitprogress.Size(moved)
		if passed >= time.Second {
			text += fmt.Sprintf(", %s/s", kitprogress.Size(int64(float64(moved)/passed.Seconds())))
		}
	}
	if left, known := p.left(passed); known {
		text += fmt.Sprintf(", %s left", left)
	}
	return text
}

// left is the time that the rest will take at the rate so far: of bytes where they are known, else of items.
func (p *progress) left(passed time.Duration) (time.Duration, bool) {
	work := p.done.Load() + p.failed.Load()
	rest := p.total.Load() - work - p.skipped.Load()
	if all := p.totalBytes.Load(); all > 0 {
		work = p.moved.Load()
		rest = all - work - p.settledBytes.Load()
	}
	if !p.counted.Load() || work <= 0 || rest <= 0 || passed < time.Second {
		return 0, false
	}
	seconds := passed.Seconds() / float64(work) * float64(rest)
	if seconds > float64(999*time.Hour/time.Second) {
		return 0, false
	}
	return (time.Duration(seconds) * time.Second).Round(time.Second), true
}

// draw shows a bar until stop.
func (p *progress) draw(w io.Writer) {
	bars := mpb.New(mpb.WithOutput(w), mpb.WithWidth(30), mpb.WithRefreshRate(drawEvery))
	bar := bars.AddBar(0,
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string {
			settled := p.done.Load() + p.skipped.Load() + p.failed.Load()
			text := fmt.Sprintf("%d/%s %s", settled, p.count(), p.noun)
			if n := p.failed.Load(); n > 0 {
				text += fmt.Sprintf(", %d failed", n)
			}
			return text + " "
		})),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
			return strings.TrimPrefix(p.rates(time.Now()), ";")
		})),
	)
	draw := func() {
		at, of := p.done.Load()+p.skipped.Load()+p.failed.Load(), p.total.Load()
		if all := p.totalBytes.Load(); all > 0 {
			at, of = p.moved.Load()+p.settledBytes.Load(), all
		}
		bar.SetTotal(max(at, of, 1), false)
		bar.SetCurrent(at)
	}
	end := kitprogress.Every(drawEvery, draw)
	p.out = bars
	p.stop = func() {
		end()
		draw()
		bar.Abort(false) // as it stands: what has been done stays to be seen
		bars.Wait()
		p.mu.Lock()
		p.out = w
		p.mu.Unlock()
	}
}
