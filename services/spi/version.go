package spi

import (
	"strconv"
	"strings"
)

// VersionTime is the timestamp of an algorithm's version TIMESTAMP-MD5, in seconds since the epoch: of two versions the one with
// the later timestamp supersedes. A version of another form has none, which is -1: it counts as older than any.
func VersionTime(version string) int64 {
	digits, _, _ := strings.Cut(version, "-")
	seconds, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || digits[0] == '+' {
		return -1
	}
	return seconds
}
