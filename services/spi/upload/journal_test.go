package upload

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func journalOf(t *testing.T, path string) (j *journal, notes *[]string) {
	t.Helper()
	notes = new([]string)
	j, err := openJournal(path, func(text string) { *notes = append(*notes, text) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.close)
	return j, notes
}

func someFile(i int) *job {
	return &job{path: fmt.Sprintf("/card/%d.jpg", i), size: int64(i), mtime: int64(-i), md5: [16]byte{byte(i), byte(i >> 8)}}
}

func known(j *journal, files ...*job) (n int) {
	for _, f := range files {
		ask := *f
		ask.md5 = [16]byte{}
		if j.lookup([]*job{&ask}); ask.known && ask.md5 == f.md5 {
			n++
		}
	}
	return n
}

func fill(j *journal, n int) (files []*job) {
	for i := range n {
		files = append(files, someFile(i))
		j.keep(files[i])
	}
	return files
}

func TestTheJournalKnowsFilesUntilTheyChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "folder", "journal")
	j, notes := journalOf(t, path)
	files := fill(j, 2500)
	expect(t, "known at once", known(j, files...), 2500)
	j.close()
	j, _ = journalOf(t, path)
	expect(t, "known later", known(j, files...), 2500)
	for _, change := range []func(*job){
		func(f *job) { f.size++ }, func(f *job) { f.mtime++ }, func(f *job) { f.path += "x" },
	} {
		f := someFile(7)
		change(f)
		expect(t, "a changed file is known", known(j, f), 0)
	}
	expect(t, "notes", *notes, []string(nil))
}

func TestADamagedJournalIsSetAside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal")
	j, _ := journalOf(t, path)
	files := fill(j, 3000)
	j.close()
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	spoil := func(change func([]byte) []byte) []byte { return change(bytes.Clone(sound)) }
	damaged := map[string][]byte{
		"a text":      []byte("this is no journal\n"),
		"noise":       bytes.Repeat([]byte{0xa5, 0x17}, len(sound)/2),
		"one byte":    {0},
		"cut short":   sound[:len(sound)/2],
		"headers cut": sound[:page],
		"zeros":       make([]byte, len(sound)),
		"no pages":    spoil(func(b []byte) []byte { clear(b[2*page:]); return b }),
		"pages of noise": spoil(func(b []byte) []byte {
			for i := 2 * page; i < len(b); i++ {
				b[i] ^= 0x5a
			}
			return b
		}),
	}
	for at := 2 * page; at < len(sound); at += 7 * page { // each page's header
		damaged[fmt.Sprintf("page at %d", at)] = spoil(func(b []byte) []byte {
			copy(b[at:], bytes.Repeat([]byte{0xff}, 64))
			return b
		})
		damaged[fmt.Sprintf("pages without end at %d", at)] = spoil(func(b []byte) []byte {
			const overflow = 12 // where a page's header says how many more belong to it, after its id, kind and count
			binary.NativeEndian.PutUint32(b[at+overflow:], 1<<31)
			return b
		})
	}
	for what, content := range damaged {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "journal")
			put(t, path, content)
			j, notes := journalOf(t, path)
			if n := known(j, files...); n == len(files) {
				t.Logf("the damage did not matter")
			} else if len(*notes) != 1 || !strings.Contains((*notes)[0], "set aside") {
				t.Errorf("%d of %d known; notes: %q", n, len(files), *notes)
			}
			fresh := someFile(5000)
			j.keep(fresh)
			j.close()
			j, _ = journalOf(t, path)
			expect(t, "known of a new file", known(j, fresh), 1)
		})
	}
}

func TestAJournalThatCannotBeKeptIsANoteAndNothingElse(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	put(t, blocked, nil)
	paths := map[string]string{
		"its folder is a file": filepath.Join(blocked, "journal"),
		"it is a folder":       t.TempDir(),
	}
	if _, err := os.Stat("/dev/full"); err == nil {
		paths["the disk is full"] = "/dev/full"
	}
	for what, path := range paths {
		t.Run(what, func(t *testing.T) {
			s, dir := newServer(t), t.TempDir()
			card(t, dir, "5c173ff2", 3)
			x := newTrial(t, s, Options{Journal: path})
			r := x.mustRun(t, dir)
			expect(t, "uploaded", r.Uploaded, int64(3))
			if len(x.notes) != 1 || !strings.Contains(x.notes[0], "cannot be kept") {
				t.Errorf("notes: %q", x.notes)
			}
		})
	}
}

func TestTwoRunsAtOnceDoNotShareAJournal(t *testing.T) {
	s, dir, journal := newServer(t), t.TempDir(), filepath.Join(t.TempDir(), "journal")
	card(t, dir, "5c173ff2", 1)
	journalOf(t, journal)
	_, err := newTrial(t, s, Options{Journal: journal}).Run(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), "another upload") || !strings.Contains(err.Error(), journal) {
		t.Errorf("%v", err)
	}
}

func TestEachServerHasItsJournal(t *testing.T) {
	seen := map[string]string{}
	for _, server := range []string{
		"https://api.example.org", "http://api.example.org", "https://api.example.org:8443", "https://example.org/api", "http://[::1]:80",
		"https://../..", "::", "",
	} {
		file, err := JournalFile(server)
		if err != nil {
			t.Skip(err)
		}
		if other, there := seen[file]; there {
			t.Errorf("%q and %q share %s", server, other, file)
		}
		seen[file] = server
		if dir := filepath.Base(filepath.Dir(file)); dir != "upload" {
			t.Errorf("%q: %s", server, file)
		}
	}
	a, _ := JournalFile("https://api.example.org")
	b, _ := JournalFile("https://api.example.org/")
	expect(t, "with and without a slash", a, b)
}
