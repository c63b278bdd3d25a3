package tuboids

import "testing"

func TestTilesAreTheSquaresThatFillThePicture(t *testing.T) {
	for _, test := range []struct{ width, height, shots, want int }{
		{896, 224, 4, 224},
		{896, 672, 11, 224},
		{896, 672, 12, 224},
		{896, 224, 2, 224}, // the last row is not full, and it is the first
		{224, 224, 1, 224},
		{224, 1120, 5, 224},
		{1120, 224, 5, 224},
		{100, 75, 11, 25},
		{640, 480, 7, 640}, // no tiles
		{3, 1000, 9, 1000},
		{1, 1, 100_000, 1},
	} {
		if got := TileSide(test.width, test.height, test.shots); got != test.want {
			t.Errorf("%d x %d pixels of %d shots: %d, want %d", test.width, test.height, test.shots, got, test.want)
		}
	}
}
