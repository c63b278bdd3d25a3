package test

import (
	"net/http"
	"syscall"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

func TestAFullDiskForTemporaryFilesIsNoFaultOfTheUpload(t *testing.T) {
	t.Parallel()
	temporary := t.TempDir()
	if err := syscall.Mount("tmpfs", temporary, "tmpfs", 0, "size=6m"); err != nil {
		t.Skipf("needs a small file system, which only root may mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(temporary, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := stack.Local(t, stack.Options{Environ: []string{"TMPDIR=" + temporary}})
	c := newCaller(t, s)
	// the first 4 MB, which a form may keep in memory, fit the disk
	wantUnavailable(t, "an upload that the temporary folder has no room for", c.put(t.Context(), takeShot(noise(1, 12<<20))))
	wantStatus(t, "an upload that needs no temporary file", c.put(t.Context(), takeShot(smallShot())), http.StatusOK)
	stillRuns(t, s)
}

func TestAFullDiskRefusesUploadsAndKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("needs a small file system, which only root may mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(data, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := stack.Local(t, stack.Options{Data: data})
	c, l := newCaller(t, s), newLedger()

	// Large files fill the disk for the objects, and then small ones the rest of it, for the database too.
	for _, picture := range [][]byte{largeShot(), smallShot()} {
		const most = 1000 // more than the disk holds
		for n, refused := 0, 0; refused < 3; n++ {
			if n == most {
				t.Fatal("the disk does not get full")
			}
			sent := takeShot(picture)
			r := c.put(t.Context(), sent)
			l.note(sent, r)
			if r.status == http.StatusOK {
				continue
			}
			refused++
			wantUnavailable(t, "an upload to a full disk", r)
			if _, there := c.rows(t, spi.Metadata)[sent.name()]; there {
				t.Errorf("%s was refused and has a row", sent.name())
			}
		}
		l.check(t, c, true)
	}
	t.Logf("answers by status: %v", l.statuses)

	var freed []shot
	for name, sent := range l.acknowledged {
		if len(sent.data) > len(largeShot())/2 {
			freed = append(freed, sent)
			delete(l.acknowledged, name)
		}
	}
	wantStatus(t, "delete_images on a full disk", c.delete(t.Context(), freed...), http.StatusOK)
	for _, sent := range append(freed[:1], takeShot(smallShot())) {
		r := c.put(t.Context(), sent)
		wantStatus(t, "an upload where there is room again", r, http.StatusOK)
		l.note(sent, r)
	}
	l.settle(t, c)
	l.check(t, c, true)
	stillRuns(t, s)
}
