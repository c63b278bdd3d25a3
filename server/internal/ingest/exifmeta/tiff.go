package exifmeta

import (
	"encoding/binary"
)

// Tags, by their number (Exif 2.3, 4.6).
const (
	tagMake        = 0x010f
	tagExifIFD     = 0x8769
	tagUserComment = 0x9286
)

// tags are the bytes of the two tags that devices write their metadata into, as they are in the file; nil where absent.
type tags struct {
	make, userComment []byte
}

// readTags finds the tags in a TIFF structure: a header of 8 bytes, directories of 12-byte entries, and values somewhere
// behind offsets that count from the header. It reads two directories, each once, follows nothing else, and allocates
// nothing, so that there is nothing for a hostile file to gain. What points outside is as good as absent.
func readTags(b []byte) tags {
	t := tiff{b: b}
	switch {
	case len(b) < 8:
		return tags{}
	case string(b[:4]) == "MM\x00\x2a":
		t.order = binary.BigEndian
	case string(b[:4]) == "II\x2a\x00":
		t.order = binary.LittleEndian
	default:
		return tags{}
	}
	var found tags
	var exif uint32
	t.directory(t.order.Uint32(b[4:]), func(tag uint16, value []byte) {
		switch {
		case tag == tagMake && found.make == nil:
			found.make = value
		case tag == tagUserComment && found.userComment == nil:
			found.userComment = value
		case tag == tagExifIFD && exif == 0 && len(value) == 4:
			exif = t.order.Uint32(value)
		}
	})
	seen := false
	if exif != 0 {
		t.directory(exif, func(tag uint16, value []byte) {
			if tag == tagUserComment && !seen {
				// Where the standard has it: this one counts, whatever the main directory says.
				found.userComment, seen = value, true
			}
		})
	}
	return found
}

type tiff struct {
	b     []byte
	order binary.ByteOrder
}

// directory calls fn with each entry whose value lies inside the structure.
func (t *tiff) directory(offset uint32, fn func(tag uint16, value []byte)) {
	const entry = 12
	at := uint64(offset)
	if at+2 > uint64(len(t.b)) {
		return
	}
	n := int(t.order.Uint16(t.b[at:]))
	rest := t.b[at+2:]
	for range n {
		if len(rest) < entry {
			return
		}
		e := rest[:entry]
		rest = rest[entry:]
		size := uint64(t.order.Uint32(e[4:])) * sizeOf(t.order.Uint16(e[2:]))
		value := e[8:]
		if size > 4 {
			start := uint64(t.order.Uint32(value))
			if start+size > uint64(len(t.b)) {
				continue
			}
			value = t.b[start:]
		}
		fn(t.order.Uint16(e), value[:size:size])
	}
}

// sizeOf is the length in bytes of a value of a TIFF type; 0 for one that is unknown, and so is without a value.
func sizeOf(typ uint16) uint64 {
	switch typ {
	case 1, 2, 6, 7: // byte, ASCII, signed byte, undefined
		return 1
	case 3, 8: // short
		return 2
	case 4, 9, 11, 13: // long, float, directory
		return 4
	case 5, 10, 12: // rational, double
		return 8
	}
	return 0
}
