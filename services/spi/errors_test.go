package spi

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestCodesAndStatusesAreEachOthers(t *testing.T) {
	seen := map[int]Code{}
	for code, status := range statusOf {
		if got := code.Status(); got != status {
			t.Errorf("%s has status %d, want %d", code, got, status)
		}
		if got := CodeOfStatus(status); got != code {
			t.Errorf("status %d is %s, want %s", status, got, code)
		}
		if other, twice := seen[status]; twice {
			t.Errorf("%s and %s share status %d", code, other, status)
		}
		seen[status] = code
	}
	if got := Code("fancy").Status(); got != 500 {
		t.Errorf("a code that is not of the protocol has status %d, want 500", got)
	}
}

func TestCodeOfStatusFallsBack(t *testing.T) {
	for status, want := range map[int]Code{
		402: CodeInvalid, 418: CodeInvalid, 499: CodeInvalid,
		501: CodeInternal, 502: CodeUnavailable, 504: CodeUnavailable, 599: CodeInternal,
		0: CodeInternal, 204: CodeInternal, 301: CodeInternal,
	} {
		if got := CodeOfStatus(status); got != want {
			t.Errorf("status %d is %s, want %s", status, got, want)
		}
	}
}

func TestCodeOfFindsTheFirstError(t *testing.T) {
	inner := Errorf(CodeNotFound, "no image %d", 7)
	for _, test := range []struct {
		name string
		err  error
		want Code
	}{
		{"itself", inner, CodeNotFound},
		{"wrapped", fmt.Errorf("reading: %w", inner), CodeNotFound},
		{"the outer of two", Wrap(CodeUnavailable, inner, "try again"), CodeUnavailable},
		{"joined", errors.Join(io.EOF, inner), CodeNotFound},
		{"untyped", io.EOF, CodeInternal},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := CodeOf(test.err); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
	defer func() {
		if recover() == nil {
			t.Error("CodeOf(nil) did not panic")
		}
	}()
	CodeOf(nil)
}

func TestErrorKeepsItsCauseOutOfItsMessage(t *testing.T) {
	err := Wrap(CodeUnavailable, io.ErrUnexpectedEOF, "the database does not answer (%s)", "5 s")
	if want := "the database does not answer (5 s)"; err.Message != want {
		t.Errorf("message %q, want %q", err.Message, want)
	}
	if want := "unavailable: the database does not answer (5 s): unexpected EOF"; err.Error() != want {
		t.Errorf("Error gives %q, want %q", err.Error(), want)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("the cause is not found")
	}
	if got := Errorf(CodeInvalid, "bad").Error(); got != "invalid: bad" {
		t.Errorf("without a cause Error gives %q", got)
	}
}
