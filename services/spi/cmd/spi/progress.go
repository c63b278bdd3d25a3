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
	state      func(now time.Time) state

	total                 atomic.Int64 // as far as is known
	counted               atomic.Bool
	done, skipped, failed atomic.Int64
	moved                 atomic.Int64
	mu                    sync.Mutex // of out, where that is no bar
	out                   io.Writer  // lines of Printf go there
	stop                  func()
}

// state is how far a command has come.
type state struct {
	total                          int64 // items, as far as is known
	counted                        bool  // no more will be known
	settled, done, skipped, failed int64 // items; settled: whichever way

	totalBytes, settledBytes int64         // of the items; totalBytes 0: not known
	moved                    int64         // bytes that crossed the network
	rate                     float64       // bytes a second; 0: not known
	left                     time.Duration // 0: not known
	waiting                  bool          // for the server
}

// progress begins to show how far a command has come that counts by the methods below. verb says what happens to the items
// and noun what they are: "uploaded", "images". With --quiet nothing is shown but the lines of Printf.
func (a *app) progress(verb, noun string) *progress {
	p := &progress{verb: verb, noun: noun, started: time.Now()}
	p.state = p.ownState
	return a.begin(p)
}

// progressOf is progress for a command that has counted already.
func (a *app) progressOf(verb, noun string, state func(now time.Time) state) *progress {
	return a.begin(&progress{verb: verb, noun: noun, state: state})
}

func (a *app) begin(p *progress) *progress {
	p.out, p.stop = a.errs, func() {}
	switch {
	case a.Quiet:
	case isTerminal(a.errs):
		p.draw(a.errs)
	default:
		p.stop = kitprogress.Every(lineEvery, func() { p.Printf("%s", p.line(time.Now())) })
	}
	return p
}

// Expect adds items to what there is to do.
func (p *progress) Expect(items int64) { p.total.Add(items) }

// Counted says that no more items will be expected.
func (p *progress) Counted() { p.counted.Store(true) }

// Moved adds bytes that crossed the network, as they cross it.
func (p *progress) Moved(bytes int64) { p.moved.Add(bytes) }

// Done counts an item that is finished.
func (p *progress) Done() { p.done.Add(1) }

// Skipped counts an item that had nothing to do.
func (p *progress) Skipped() { p.skipped.Add(1) }

// Failed counts an item that failed. What was wrong is told by Printf.
func (p *progress) Failed() { p.failed.Add(1) }

// Printf writes a line for people, above the bar where there is one. Foreign text in it goes through [printable] first.
func (p *progress) Printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, format+"\n", args...)
}

// Stop ends the show and leaves the last state to be seen. It waits until everything is written.
func (p *progress) Stop() { p.stop() }

// ownState is the state by what was counted here. The rate is that of the whole time.
func (p *progress) ownState(now time.Time) state {
	s := state{total: p.total.Load(), counted: p.counted.Load(), done: p.done.Load(), skipped: p.skipped.Load(), failed: p.failed.Load(), moved: p.moved.Load()}
	s.settled = s.done + s.skipped + s.failed
	passed := now.Sub(p.started).Seconds()
	if passed < 1 {
		return s
	}
	s.rate = float64(s.moved) / passed
	const most = 999 * time.Hour
	if work, rest := s.done+s.failed, s.total-s.settled; s.counted && work > 0 && rest > 0 {
		if left := passed / float64(work) * float64(rest); left <= most.Seconds() {
			s.left = time.Duration(left) * time.Second
		}
	}
	return s
}

// line says in words how far it has come.
func (p *progress) line(now time.Time) string {
	s := p.state(now)
	text := fmt.Sprintf("%d of %s %s %s", s.done, s.count(), p.noun, p.verb)
	if s.skipped > 0 {
		text += fmt.Sprintf(", %d there already", s.skipped)
	}
	if s.failed > 0 {
		text += fmt.Sprintf(", %d failed", s.failed)
	}
	if flow := strings.Join(s.flow(), ", "); flow != "" {
		text += "; " + flow
	}
	return text
}

func (s state) count() string {
	if s.counted {
		return fmt.Sprint(s.total)
	}
	return fmt.Sprintf("%d or more", s.total)
}

// flow is the bytes moved, the rate and the time that is left, as far as they are known.
func (s state) flow() []string {
	var words []string
	if s.moved > 0 {
		words = append(words, kitprogress.Size(s.moved))
	}
	switch {
	case s.waiting:
		return append(words, "waiting")
	case s.moved > 0 && s.rate >= 1:
		words = append(words, kitprogress.Size(int64(s.rate))+"/s")
	}
	if s.left > 0 {
		words = append(words, s.left.String()+" left")
	}
	return words
}

// fromLeft writes lines from the first column on: mpb only goes up to the line of its bar, and a terminal that echoes Ctrl-C
// leaves the cursor behind that.
type fromLeft struct{ io.Writer }

func (f fromLeft) Write(p []byte) (int, error) {
	if _, err := f.Writer.Write(append([]byte("\r"), p...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// fitting joins as many of the last words as have room beside a bar: on a narrow terminal the time that is left is what
// counts, even without one.
func fitting(words []string, width int) string {
	const bar = 12
	for ; len(words) > 0; words = words[1:] {
		text := " " + strings.Join(words, ", ")
		if len(text)+bar <= width || len(words) == 1 && len(text) <= width {
			return text
		}
	}
	return ""
}

// draw shows a bar until stop.
func (p *progress) draw(w io.Writer) {
	bars := mpb.New(mpb.WithOutput(w), mpb.WithWidth(30), mpb.WithRefreshRate(drawEvery))
	bar := bars.AddBar(0,
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string {
			s := p.state(time.Now())
			text := fmt.Sprintf("%d/%s %s", s.settled, s.count(), p.noun)
			if s.failed > 0 {
				text += fmt.Sprintf(", %d failed", s.failed)
			}
			return "\r" + text + " "
		})),
		mpb.AppendDecorators(decor.Any(func(d decor.Statistics) string {
			return fitting(p.state(time.Now()).flow(), d.AvailableWidth)
		})),
	)
	draw := func() {
		s := p.state(time.Now())
		at, of := s.settled, s.total
		if s.totalBytes > 0 {
			at, of = s.settledBytes, s.totalBytes
		}
		bar.SetTotal(max(at, of, 1), false)
		bar.SetCurrent(at)
	}
	end := kitprogress.Every(drawEvery, draw)
	p.out = fromLeft{bars}
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
