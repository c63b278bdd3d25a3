package spi

import (
	"strconv"
	"strings"
)

// FormatValue writes a measured value with the digits that were measured and without an exponent: sensors' values are 32 bits
// wide, and 20.7 is what 20.700000762939453 means.
func FormatValue(v float64) string {
	bits := 64
	if float64(float32(v)) == v {
		bits = 32
	}
	return strconv.FormatFloat(v, 'f', -1, bits)
}

// NoFormula gives a text that a spreadsheet takes for one: where it would begin a formula an apostrophe stands before it, as
// OWASP's page on CSV injection advises. Devices and users choose some of the texts that tables hold.
func NoFormula(s string) string {
	if strings.HasPrefix(strings.TrimLeft(s, " \t\r\n"), "=") || s != "" && strings.ContainsRune("+-@\t\r\n", rune(s[0])) {
		return "'" + s
	}
	return s
}
