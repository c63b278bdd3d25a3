package readfault_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sticky-pi/sticky-pi-server/services/kit/readfault"
)

type broken struct{ error }

func (b broken) Write([]byte) (int, error) { return 0, b.error }

func TestAReaderKeepsItsOwnErrorAndNoOther(t *testing.T) {
	brokeOff, full := errors.New("broke off"), errors.New("disk full")
	for name, tt := range map[string]struct {
		from io.Reader
		to   io.Writer
		want error
	}{
		"a whole text":     {strings.NewReader("text"), io.Discard, nil},
		"one cut short":    {io.MultiReader(strings.NewReader("te"), iotest.ErrReader(brokeOff)), io.Discard, brokeOff},
		"a writer's error": {strings.NewReader("text"), broken{full}, nil},
	} {
		r := &readfault.Reader{Reader: tt.from}
		_, err := io.Copy(tt.to, r)
		if !errors.Is(r.Err, tt.want) {
			t.Errorf("%s: it keeps %v, want %v; the copy ended with %v", name, r.Err, tt.want, err)
		}
	}
}
