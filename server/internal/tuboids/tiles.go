package tuboids

// usualColumns is in how many columns the matcher lays the tiles.
const usualColumns = 4

// TileSide gives the side of one of the square tiles of a tuboid's picture, in pixels: they fill it from left to right and from
// above, and the last row may not be full. Of a picture that so many squares do not fill it gives the longer side.
func TileSide(width, height, shots int) int {
	fills := func(columns int) bool {
		rows := (shots + columns - 1) / columns
		d := width*rows - height*columns
		return -columns < d && d < columns
	}
	for columns := 1; columns <= min(shots, width); columns++ {
		if fills(columns) {
			return width / columns
		}
	}
	if width >= usualColumns && fills(usualColumns) { // fewer shots than columns
		return width / usualColumns
	}
	return max(width, height)
}
