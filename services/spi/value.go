package spi

import "strconv"

// FormatValue writes a measured value with the digits that were measured and without an exponent: sensors' values are 32 bits
// wide, and 20.7 is what 20.700000762939453 means.
func FormatValue(v float64) string {
	bits := 64
	if float64(float32(v)) == v {
		bits = 32
	}
	return strconv.FormatFloat(v, 'f', -1, bits)
}
