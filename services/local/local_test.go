package local

import (
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest/ports"
)

func TestAPortThatIsTakenIsNamedWithWhatToDo(t *testing.T) {
	t.Setenv("UID_WORKERS", "0")
	for part, offset := range map[string]int{"API": 0, "viewer": viewerOffset, "S3": s3Offset, "metrics": metricsOffset} {
		t.Run(part, func(t *testing.T) {
			port, err := ports.Free(t.Context(), 0, viewerOffset, s3Offset, metricsOffset)
			if err != nil {
				t.Fatal(err)
			}
			taken := net.JoinHostPort("127.0.0.1", strconv.Itoa(port+offset))
			var lc net.ListenConfig
			l, err := lc.Listen(t.Context(), "tcp", taken)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			err = Run(t.Context(), Options{Port: port, Bind: "127.0.0.1", Data: t.TempDir(), Out: io.Discard, Log: slog.New(slog.DiscardHandler)})
			if err == nil || !strings.Contains(err.Error(), "cannot listen on "+taken) || !strings.Contains(err.Error(), "stop what uses the port, or choose another") {
				t.Errorf("it ends with %v", err)
			}
		})
	}
}
