package upload

import "bytes"

// jpegScan is a writer that follows the markers of a JPEG (ITU-T T.81, annex B) as the file is read for its md5, so that
// what is certainly no whole JPEG is not sent: over a bad line that takes minutes, only for the server to refuse it. Whatever
// is less than certain is left to the server, which decodes every file.
type jpegScan struct {
	state  scanState
	skip   int // bytes left of a segment
	length int // of the segment, as far as it was read
	marker byte
	n      int64
}

type scanState uint8

const (
	wantFF      scanState = iota // the first byte of the file
	wantSOI                      // the second one
	wantMarker                   // 0xff of a marker
	wantKind                     // the marker's second byte, after any number of 0xff
	wantLength1                  // of a segment
	wantLength2
	inSegment
	inScan   // coded data
	inScanFF // 0xff in coded data
	ended    // the end marker was seen
	notJPEG
	unclear // damaged or unknown: not ours to judge
)

const (
	markerRST0, markerRST7 = 0xd0, 0xd7
	markerSOI, markerEOI   = 0xd8, 0xd9
	markerSOS              = 0xda
)

// Write never fails.
func (s *jpegScan) Write(p []byte) (int, error) {
	s.n += int64(len(p))
	for i := 0; i < len(p); i++ {
		switch s.state {
		case ended, notJPEG, unclear:
			return len(p), nil
		case inSegment: // in one step, since segments hold nothing to see
			n := min(s.skip, len(p)-i)
			s.skip -= n
			i += n - 1
			if s.skip == 0 {
				s.afterSegment()
			}
		case inScan: // nearly all of the file
			next := bytes.IndexByte(p[i:], 0xff)
			if next < 0 {
				return len(p), nil
			}
			i += next
			s.state = inScanFF
		default:
			s.byte(p[i])
		}
	}
	return len(p), nil
}

func (s *jpegScan) byte(b byte) {
	switch s.state {
	case wantFF, wantSOI:
		want := byte(0xff)
		if s.state == wantSOI {
			want = markerSOI
		}
		s.state++
		if b != want {
			s.state = notJPEG
		}
	case wantMarker:
		s.state = wantKind
		if b != 0xff {
			s.state = unclear
		}
	case wantKind:
		s.kind(b)
	case wantLength1:
		s.length, s.state = int(b)<<8, wantLength2
	case wantLength2:
		s.length |= int(b)
		s.skip, s.state = s.length-2, inSegment // the length counts its own two bytes
		switch {
		case s.skip < 0:
			s.state = unclear
		case s.skip == 0:
			s.afterSegment()
		}
	case inScanFF:
		switch {
		case b == 0, markerRST0 <= b && b <= markerRST7:
			s.state = inScan
		default:
			s.kind(b)
		}
	case inSegment, inScan, ended, notJPEG, unclear: // Write sees to them
	}
}

func (s *jpegScan) kind(b byte) {
	switch {
	case b == 0xff: // fills
	case b == markerEOI:
		s.state = ended
	case b == 0, b == 1, markerRST0 <= b && b <= markerSOI:
		s.state = unclear
	default:
		s.marker, s.state = b, wantLength1
	}
}

func (s *jpegScan) afterSegment() {
	s.state = wantMarker
	if s.marker == markerSOS {
		s.state = inScan
	}
}

// verdict is why the file, read to its end, is certainly not a whole JPEG; "" where it may be one.
func (s *jpegScan) verdict() (Code, string) {
	switch s.state {
	case ended, unclear:
		return "", ""
	case notJPEG:
		return CodeNotJPEG, "the file is not a JPEG: it does not begin like one"
	case wantFF, wantSOI, wantMarker, wantKind, wantLength1, wantLength2, inSegment, inScan, inScanFF:
	}
	if s.n == 0 {
		return CodeEmpty, "the file is empty"
	}
	return CodeTruncated, "the JPEG is cut short: its end is missing"
}
