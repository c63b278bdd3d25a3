//go:build !linux

package kittest

import "os/exec"

// startTied starts cmd. ended is called when it has ended. Only Linux can end it together with this process.
func startTied(cmd *exec.Cmd, ended func()) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		// How it ended is of no interest: the caller asked for it, or reads the log.
		_ = cmd.Wait()
		ended()
	}()
	return nil
}
