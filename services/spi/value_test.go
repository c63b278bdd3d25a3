package spi_test

import (
	"math"
	"testing"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

func TestValuesHaveTheDigitsThatWereMeasured(t *testing.T) {
	for value, want := range map[float64]string{
		float64(float32(20.7)): "20.7", 20.7: "20.7", -123.25678: "-123.25678", 0: "0", -300: "-300", 1_234_567: "1234567",
		float64(float32(0.00005)): "0.00005", math.Pi: "3.141592653589793",
	} {
		if got := spi.FormatValue(value); got != want {
			t.Errorf("%v: %q, want %q", value, got, want)
		}
	}
}

func TestATextDoesNotBeginAFormula(t *testing.T) {
	for _, harmless := range []string{"", "anna", "a=1", " a", "1-2"} {
		if got := spi.NoFormula(harmless); got != harmless {
			t.Errorf("%q became %q", harmless, got)
		}
	}
	for _, formula := range []string{"=1+1", " \t=1", "+1", "-1", "@SUM(1)", "\tx", "\rx", "\nx"} {
		if got := spi.NoFormula(formula); got != "'"+formula {
			t.Errorf("%q became %q", formula, got)
		}
	}
}
