// Package readfault tells an error of what is read from one of what is done with it: io.Copy gives either.
package readfault

import (
	"errors"
	"io"
)

// Reader reads from another one and keeps the error that it ended with, where that is no end.
type Reader struct {
	io.Reader
	Err error // nil as long as there was none
}

func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.Err = err
	}
	return n, err
}
