package upload

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

var units = map[string]float64{
	"": 1, "B": 1, "K": 1e3, "KB": 1e3, "M": 1e6, "MB": 1e6, "G": 1e9, "GB": 1e9,
	"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30,
}

// ParseRate reads a bandwidth such as 500KB/s, 1.5MB/s, 300K or 2MiB/s, in bytes a second: K, M and G are powers of 1000,
// KiB, MiB and GiB of 1024, capitals do not matter and the /s may be missing. Bits are refused, since nobody can tell 500kb
// from 500kB by its looks. The rate is between 1 KB/s, below which no photograph arrives in an hour, and 1 TB/s.
func ParseRate(s string) (bytesPerSecond int64, err error) {
	text := strings.TrimSpace(s)
	if strings.HasSuffix(text, "/s") || strings.HasSuffix(text, "/S") {
		text = text[:len(text)-len("/s")]
	}
	if strings.HasSuffix(text, "b") && len(text) > 1 && strings.ContainsAny(text[len(text)-2:len(text)-1], "kKmMgGi") ||
		strings.HasSuffix(strings.ToLower(text), "bit") {
		return 0, fmt.Errorf("%.40q could be bits: write the rate in bytes, as in 500KB/s", s)
	}
	digits := strings.TrimRightFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	unit, known := units[strings.ToUpper(strings.TrimSpace(text[len(digits):]))]
	if !known || digits == "" || strings.Trim(digits, "0123456789.") != "" {
		return 0, fmt.Errorf("%.40q is not a rate: write it as 500KB/s or 1.5MB/s", s)
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a rate: write it as 500KB/s or 1.5MB/s", s)
	}
	if n *= unit; n < 1e3 || n > 1e12 {
		return 0, fmt.Errorf("the rate %.40q is out of bounds: 1KB/s to 1000GB/s", s)
	}
	return int64(math.Round(n)), nil
}
