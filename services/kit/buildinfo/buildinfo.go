// Package buildinfo says which build of the software is running.
package buildinfo

import "runtime"

// Version is the version of the sources, set at link time by -ldflags "-X .../buildinfo.Version=...".
var Version = "unknown"

// Info describes a build.
type Info struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// Get describes the running build.
func Get() Info {
	return Info{Version: Version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
}
