//go:build turbojpeg

package stack

const turbojpeg = true
