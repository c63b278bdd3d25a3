package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
	"github.com/sticky-pi/sticky-pi-server/services/spi/upload"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

func TestAnUploadGoesOnWhereTheDiskForItsJournalIsFull(t *testing.T) {
	stack.SharedEach(t, func(t *testing.T, s *stack.Stack) {
		disk := smallDisk(t, 0, "256k")
		card := t.TempDir()
		sums := smallCard(t, card, 1500)
		p := uploaderOf(t, s.URL)
		p.env = append(p.env, "SPI_JOURNAL="+filepath.Join(disk, "journal"))
		for _, want := range []string{"first", "second"} {
			r := p.run("upload", card, "--json").done()
			report := reportOf(t, r)
			same(t, want+" run: on the server", int64(len(sums)), report.Uploaded+report.AlreadyThere)
		}
		// a disk with no room at all
		if err := os.Remove(filepath.Join(disk, "journal")); err != nil {
			t.Fatal(err)
		}
		filler, err := os.Create(filepath.Join(disk, "filler"))
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = filler.Write(make([]byte, 4096))
		}
		_ = filler.Close() // its last write failed
		r := p.run("upload", card, "--json").done().says("cannot be kept", "no space left")
		same(t, "there already", int64(len(sums)), reportOf(t, r).AlreadyThere)
	})
}

func TestNothingIsLostOnACardThatCannotBeWrittenTo(t *testing.T) {
	stack.SharedEach(t, func(t *testing.T, s *stack.Stack) {
		card := smallDisk(t, 0, "4m")
		sums := smallCard(t, card, 3)
		if err := syscall.Mount("", card, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		p := uploaderOf(t, s.URL)
		report := reportOf(t, p.run("upload", card, "--delete-after-verify", "--json").ended(3).says("read-only"))
		same(t, "uploaded", int64(len(sums)), report.Uploaded)
		for _, f := range report.Failures {
			same(t, "code", upload.CodeNotDeleted, f.Code)
		}
		same(t, "failed", int64(len(sums)), report.Failed)
		same(t, "deleted", int64(0), report.Deleted)
	})
}

// begun is a command that runs beside the test.
type begun struct {
	*exec.Cmd
	out   bytes.Buffer
	said  *saying
	ended chan struct{}
}

// saying may be read while it is written.
type saying struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *saying) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *saying) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (p *person) begin(args ...string) *begun {
	p.t.Helper()
	c := &begun{Cmd: p.command(p.t.Context(), args...), said: &saying{}, ended: make(chan struct{})}
	c.Stdout, c.Stderr = &c.out, c.said
	if err := c.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(c.ended)
		_ = c.Wait() // its status is looked at
	}()
	return c
}

// finish waits for the end after a signal.
func (c *begun) finish(t *testing.T, sig syscall.Signal) *ran {
	t.Helper()
	if err := c.Process.Signal(sig); err != nil {
		t.Fatalf("%v; it said %s", err, c.said)
	}
	<-c.ended
	return &ran{t: t, asked: strings.Join(c.Args, " "), status: c.ProcessState.ExitCode(), stdout: c.out.String(), errs: c.said.String()}
}

func TestAWatchedCardIsUploadedUntilItIsEnough(t *testing.T) {
	stack.SharedEach(t, func(t *testing.T, s *stack.Stack) {
		card := t.TempDir()
		sums := smallCard(t, card, 3)
		client := adminOf(t, s)
		c := uploaderOf(t, s.URL).begin("upload", card, "--watch", "--json")
		arrived := func(want int) {
			t.Helper()
			awaitThat(t, "the files have arrived", func() (string, bool) {
				n := len(storedSums(t, client, sums))
				return fmt.Sprint(n), n == want
			})
		}
		arrived(3)
		late := spitest.Name(newDevice(), noon)
		data := spitest.JPEG(spitest.Photo{Width: 64, Height: 48, Seed: 5})
		if err := os.MkdirAll(filepath.Join(card, "new"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(card, "new", late), data, 0o600); err != nil {
			t.Fatal(err)
		}
		sums[late] = md5Hex(data)
		arrived(4)
		report := reportOf(t, c.finish(t, syscall.SIGTERM).done())
		same(t, "on the server", int64(4), report.Uploaded+report.AlreadyThere)
		same(t, "the server's md5", sums[late], storedSums(t, client, sums)[late])
	})
}

func TestAnInterruptedUploadReportsAndTheNextOneGoesOn(t *testing.T) {
	stack.SharedEach(t, func(t *testing.T, s *stack.Stack) {
		card := t.TempDir()
		sums := smallCard(t, card, 200) // a minute's, of which it is met in the first seconds
		client, p := adminOf(t, s), uploaderOf(t, s.URL)
		c := p.begin("upload", card, "--limit", "8KB/s", "--json") // of some 600 KB
		awaitThat(t, "some have arrived", func() (string, bool) {
			n := len(storedSums(t, client, sums))
			return fmt.Sprint(n), n >= 10
		})
		same(t, "a second one", 1, p.run("upload", card).failed(1, "another upload").status)
		first := reportOf(t, c.finish(t, syscall.SIGINT).failed(130, "interrupted"))
		if first.Complete || first.Uploaded < 10 || first.Uploaded == int64(len(sums)) {
			t.Errorf("%+v", first)
		}
		same(t, "what it counted is there", first.Uploaded, int64(len(storedSums(t, client, sums))))
		second := reportOf(t, p.run("upload", card, "--json").done())
		same(t, "the rest", int64(len(sums))-first.Uploaded, second.Uploaded)
		same(t, "there already", first.Uploaded, second.AlreadyThere)
	})
}

func TestAnUploadThatCannotBeSaysSoInALine(t *testing.T) {
	stack.SharedEach(t, func(t *testing.T, s *stack.Stack) {
		card := t.TempDir()
		smallCard(t, card, 3)
		p := uploaderOf(t, s.URL)
		p.run("upload", filepath.Join(card, "nothing")).failed(1, "nothing", "no such file")
		p.run("upload", card, "--limit", "8kb/s").failed(2, "--limit", "bits")
		p.run("upload", card, "--workers", "0").failed(2, "--workers")

		wrong := newPerson(t)
		wrong.env = []string{"SPI_HOST=" + s.URL, "SPI_USER=" + stack.AdminName, "SPI_PASSWORD=not-the-password"}
		wrong.run("upload", card).failed(4)

		reader := newDevice()
		no := false
		if _, err := adminOf(t, s).PutUsers(t.Context(), spi.NewUser{Username: reader, Password: "password-of-" + reader, CanWrite: &no}); err != nil {
			t.Fatal(err)
		}
		readOnly := newPerson(t)
		readOnly.env = []string{"SPI_HOST=" + s.URL, "SPI_USER=" + reader, "SPI_PASSWORD=password-of-" + reader}
		readOnly.run("upload", card).failed(4, "not allowed")

		away := newPerson(t)
		away.env = []string{"SPI_HOST=http://127.0.0.1:1", "SPI_USER=anna", "SPI_PASSWORD=secret"}
		away.run("upload", card, "--give-up-after", "1s").failed(5, "127.0.0.1")
	})
}
