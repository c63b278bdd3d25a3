package test

import (
	"testing"

	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

func TestTheServerStarts(t *testing.T) {
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		if s.PID() == 0 {
			t.Error("not running")
		}
	})
}
