//go:build !windows

package main

import (
	"errors"
	"syscall"
)

func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
