package spi_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// The viewer's pages are held against the same table (services/webapp/web/src/lib/version.test.ts).
func TestAVersionsTimeIsWhatStandsBeforeTheFirstDash(t *testing.T) {
	text, err := os.ReadFile("testdata/version_times.json")
	if err != nil {
		t.Fatal(err)
	}
	var table []struct {
		Version string `json:"version"`
		Time    int64  `json:"time,string"`
	}
	if err := json.Unmarshal(text, &table); err != nil || len(table) == 0 {
		t.Fatalf("%d rows, %v", len(table), err)
	}
	for _, row := range table {
		if got := spi.VersionTime(row.Version); got != row.Time {
			t.Errorf("%q: %d, want %d", row.Version, got, row.Time)
		}
	}
}
