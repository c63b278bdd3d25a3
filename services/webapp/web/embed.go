// Package web holds the viewer's front end: its sources, and the files that `npm run build` makes of them. It may import
// nothing of the project.
package web

import (
	"embed"
	"io/fs"
)

// Without a build there is only the file that says so, and the program can be built all the same.
//
//go:embed all:dist*
var files embed.FS

// Built is the folder of built files, empty where there was no build.
func Built() fs.FS {
	dist, err := fs.Sub(files, "dist")
	if err != nil {
		panic(err) // the name is a constant
	}
	return dist
}

// Missing is the page to show in their place.
func Missing() []byte {
	page, err := files.ReadFile("dist.missing.html")
	if err != nil {
		panic(err) // it is embedded
	}
	return page
}
