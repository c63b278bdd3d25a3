package httpapi

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
)

func TestBlanksBetweenElementsBecomeOne(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", ""},
		{"   ", " "},
		{"[ \t\r\n ]", "[ ]"},
		{"[  {\"a\" :   \"b  ]\", \"c\":[  ] \n }  ,  {  } ]  ", "[ {\"a\" :   \"b  ]\", \"c\":[  ] \n } , {  } ] "},
		{"]]]   1   2", "]]] 1 2"},
		{`["\"  ", "\\"  ,  "\\\"  "]`, `["\"  ", "\\" , "\\\"  "]`},
		{"1   2", "1 2"},
		{"\"open   \\", "\"open   \\"},
	} {
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(test.in), "byte by byte": iotest.OneByteReader(strings.NewReader(test.in)),
			"with its end": iotest.DataErrReader(strings.NewReader(test.in)),
		} {
			got, err := io.ReadAll(&oneBlank{r: r})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("%q, %s (-want +got):\n%s", test.in, name, diff)
			}
		}
	}
}

// TestBodiesOfBlanksAreReadInLinearTime would take hours, and be ended by the time-out of the tests, if each piece of the
// body cost as much as all before it.
func TestBodiesOfBlanksAreReadInLinearTime(t *testing.T) {
	blanks := strings.Repeat(" ", MaxBody/2)
	for name, body := range map[string]string{"before": blanks + "[]", "inside": "[" + blanks + "]", "in an element": "[{" + blanks[:maxElementSize/2] + "}]", "after": "[]" + blanks, "alone": blanks} {
		t.Run(name, func(t *testing.T) {
			c, _ := gin.CreateTestContext(httptest.NewRecorder())
			c.Request = httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", pieces{strings.NewReader(body)})
			if _, err := elements(c, func(*element) error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
}

// pieces gives a body as it comes from a network.
type pieces struct{ io.Reader }

func (p pieces) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(len(b), 4096)]) }
