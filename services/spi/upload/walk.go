package upload

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// walker goes through folders. It follows symbolic links and enters every folder once, by whichever path it comes first, so
// that links cannot lead it in circles. It holds the paths of folders, and of files that are roots, not of others.
type walker struct {
	recursive bool
	visited   map[string]bool // folders, and files that are roots, by their paths without links

	onFolder  func(path string)                // before its files
	onFile    func(path string, i fs.FileInfo) // a regular file that calls itself a JPEG
	onIgnored func()                           // any other file
	onError   func(path string, err error)     // a folder, or a link to a picture, that cannot be read
}

// systemFolders are not the devices': what operating systems and storage boxes leave on cards. Lower case. Names that begin
// with a dot are passed over as well.
var systemFolders = []string{
	"system volume information", "$recycle.bin", "recycler", "found.000", "lost+found", "__macosx", "@eadir", "#recycle", "lost.dir",
}

func hidden(name string) bool {
	return strings.HasPrefix(name, ".") || slices.Contains(systemFolders, strings.ToLower(name))
}

// folder is one to be entered.
type folder struct {
	path, real string
}

// walk goes through a root, which is a folder or a file, and is taken whatever its name. Files come after folders: those in
// them were given already.
func (w *walker) walk(ctx context.Context, root string) {
	info, err := os.Stat(root)
	if err != nil {
		w.onError(root, err)
		return
	}
	if !info.IsDir() {
		dir, err := filepath.EvalSymlinks(filepath.Dir(root))
		if err != nil {
			w.onError(root, err)
			return
		}
		name := filepath.Base(root)
		path := filepath.Join(dir, name)
		if w.visited[path] || w.visited[dir] && !hidden(name) {
			return
		}
		w.visited[path] = true
		w.file(root, info)
		return
	}
	resolved, err := filepath.EvalSymlinks(root)
	if err != nil {
		w.onError(root, err)
		return
	}
	stack := []folder{{root, resolved}}
	for len(stack) > 0 && ctx.Err() == nil {
		next := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if w.visited[next.real] {
			continue
		}
		w.visited[next.real] = true
		inside := w.enter(ctx, next)
		if w.recursive {
			slices.Reverse(inside) // the first is on top
			stack = append(stack, inside...)
		}
	}
}

// enter goes through a folder's own files, and gives the folders in it.
func (w *walker) enter(ctx context.Context, f folder) (inside []folder) {
	dir, err := os.Open(f.path)
	if err != nil {
		w.onError(f.path, err)
		return nil
	}
	defer func() { _ = dir.Close() }() // it was only read
	w.onFolder(f.path)
	for ctx.Err() == nil {
		const some = 1024 // a folder may have any number of files
		entries, err := dir.ReadDir(some)
		slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
		for _, entry := range entries {
			if ctx.Err() != nil {
				break
			}
			if sub, ok := w.entry(f, entry); ok {
				inside = append(inside, sub)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return inside
		case err != nil:
			w.onError(f.path, err)
			return inside
		}
	}
	return inside
}

func (w *walker) entry(in folder, entry fs.DirEntry) (sub folder, isFolder bool) {
	name := entry.Name()
	if hidden(name) {
		return folder{}, false
	}
	path := filepath.Join(in.path, name)
	if entry.IsDir() {
		return folder{path, filepath.Join(in.real, name)}, true
	}
	link := entry.Type()&fs.ModeSymlink != 0
	if !link && (!entry.Type().IsRegular() || !isPicture(name)) {
		w.onIgnored()
		return folder{}, false
	}
	info, err := os.Stat(path)
	if err == nil && link && info.IsDir() {
		var resolved string
		if resolved, err = filepath.EvalSymlinks(path); err == nil {
			return folder{path, resolved}, true
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && !link: // it went away meanwhile
	case err != nil && (link && !isPicture(name)):
		w.onIgnored()
	case err != nil:
		w.onError(path, err)
	default:
		w.file(path, info)
	}
	return folder{}, false
}

func (w *walker) file(path string, info fs.FileInfo) {
	if !info.Mode().IsRegular() || !isPicture(path) {
		w.onIgnored()
		return
	}
	w.onFile(path, info)
}
