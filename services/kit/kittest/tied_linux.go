package kittest

import (
	"os/exec"
	"runtime"
	"syscall"
)

// startTied starts cmd so that it does not outlive this process, however that ends: a test that panics or times out runs
// no clean-up. ended is called when cmd has ended.
func startTied(cmd *exec.Cmd, ended func()) error {
	started := make(chan error)
	go func() {
		// The kernel ties the child to the thread that started it, not to the process, so the thread is kept until the
		// child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		// How it ended is of no interest: the caller asked for it, or reads the log.
		_ = cmd.Wait()
		ended()
	}()
	return <-started
}
