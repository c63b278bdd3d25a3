//go:build !turbojpeg

package stack

const turbojpeg = false
