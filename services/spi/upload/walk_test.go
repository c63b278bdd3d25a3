package upload

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// walked gives what a walk finds, by path below dir.
func walked(t *testing.T, recursive bool, dir string, roots ...string) (files, bad []string, ignored int) {
	t.Helper()
	rel := func(path string) string {
		r, err := filepath.Rel(dir, path)
		if err != nil {
			t.Fatal(err)
		}
		return filepath.ToSlash(r)
	}
	w := &walker{
		recursive: recursive, visited: map[string]bool{}, onFolder: func(string) {},
		onFile:    func(path string, _ fs.FileInfo) { files = append(files, rel(path)) },
		onIgnored: func() { ignored++ },
		onError:   func(path string, _ error) { bad = append(bad, rel(path)) },
	}
	for _, root := range roots {
		w.walk(t.Context(), filepath.Join(dir, root))
	}
	slices.Sort(files)
	return files, bad, ignored
}

func TestFoldersAreGoneThroughOnce(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{
		"a.jpg", "b.JPEG", "c.txt", ".hidden.jpg", "._a.jpg", "in/d.jpg", "in/deep/e.jpg", ".Trashes/f.jpg", "System Volume Information/g.jpg",
		"$RECYCLE.BIN/h.jpg", "@eaDir/i.jpg", "lost+found/j.jpg", "empty.jpg.part", "elsewhere/k.jpg",
	} {
		put(t, filepath.Join(dir, filepath.FromSlash(path)), []byte("x"))
	}
	link := func(to, at string) {
		t.Helper()
		if err := os.Symlink(filepath.Join(dir, to), filepath.Join(dir, at)); err != nil {
			t.Skipf("no links here: %v", err)
		}
	}
	link(".", "in/loop")
	link("in/deep", "in/deep/self")
	link("elsewhere", "in/other")
	link("a.jpg", "in/link.jpg")
	link("gone.jpg", "in/broken.jpg")
	link("gone", "in/broken")
	link("in/two", "in/two") // leads to itself

	files, bad, ignored := walked(t, true, dir, ".")
	expect(t, "files", files, []string{"a.jpg", "b.JPEG", "elsewhere/k.jpg", "in/d.jpg", "in/deep/e.jpg", "in/link.jpg"})
	expect(t, "bad", bad, []string{"in/broken.jpg"})
	expect(t, "ignored", ignored, 4)

	again, _, _ := walked(t, true, dir, ".", "in", "in/deep", "in/other")
	expect(t, "files of roots in each other", again, files)
	again, _, _ = walked(t, true, dir, "in/deep", "in/deep/e.jpg", "a.jpg", "in/d.jpg", "a.jpg")
	expect(t, "files given with their folders, and twice", again, []string{"a.jpg", "in/d.jpg", "in/deep/e.jpg"})
	files, _, _ = walked(t, false, dir, ".")
	expect(t, "files of the folder alone", files, []string{"a.jpg", "b.JPEG"})
	files, _, _ = walked(t, true, dir, ".hidden.jpg", "System Volume Information")
	expect(t, "files of roots with odd names", files, []string{".hidden.jpg", "System Volume Information/g.jpg"})
}

func TestAFolderThatCannotBeReadIsSaid(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "shut", "a.jpg"), nil)
	put(t, filepath.Join(dir, "b.jpg"), nil)
	if err := os.Chmod(filepath.Join(dir, "shut"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "shut"), 0o700) }) //nolint:gosec // a folder
	if _, err := os.ReadDir(filepath.Join(dir, "shut")); err == nil {
		t.Skip("this user may read everything")
	}
	files, bad, _ := walked(t, true, dir, ".")
	expect(t, "files", files, []string{"b.jpg"})
	expect(t, "bad", bad, []string{"shut"})
}
