package upload

import (
	"strings"
	"testing"
)

func TestRatesAreRead(t *testing.T) {
	for text, want := range map[string]int64{
		"500KB/s": 500_000, "500kB/s": 500_000, "1.5MB/s": 1_500_000, "300K": 300_000, "2MiB/s": 2 << 20, "1 GB": 1_000_000_000,
		"64KiB": 64 << 10, "2000": 2000, "2000B/s": 2000, " 5m ": 5_000_000, "1000000MB/s": 1e12,
	} {
		if got, err := ParseRate(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "not a rate", "fast": "not a rate", "KB/s": "not a rate", "5XB/s": "not a rate", "-5KB/s": "not a rate", "1.2.3KB": "not a rate",
		"1e9": "not a rate", "NaN": "not a rate", "0x10KB": "not a rate", "5KB/h": "not a rate", "0": "out of bounds", "999B/s": "out of bounds",
		"1001GB/s": "out of bounds", "500kb/s": "bits", "500Kb": "bits", "8Mbit/s": "bits", "1Mib": "bits",
		strings.Repeat("9", 400) + "GB": "not a rate",
	} {
		if got, err := ParseRate(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %d, %v; want %q", text, got, err, want)
		}
	}
}

func FuzzParseRate(f *testing.F) {
	for _, text := range []string{"500KB/s", "1.5MiB", "kb", "1e308GB", "/s"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := ParseRate(text); (err == nil) != (n >= 1e3 && n <= 1e12) {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	})
}
