//go:build !(cgo && turbojpeg)

package thumbnail

var best engine = pure{}
