//go:build !(cgo && turbojpeg)

package thumbnail

func engines() []engine { return []engine{pure{}} }
