package s3blob

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// urlLife is how long a presigned URL lives from its signing time on: SigV4's maximum. A URL is signed for the beginning of
// its window, so that it has this less one window left when it is handed out.
const urlLife = 7 * 24 * time.Hour

// presigner signs GET URLs as AWS Signature Version 4 does in the query string, for one bucket:
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
//
// A list of images may hold a million URLs and the SDK's presigner takes some 20 us and 100 allocations for each. All but
// the key is the same within a window, so it is made once a window; what is left is a SHA-256 and an HMAC.
type presigner struct {
	base      string // scheme://host/bucket/
	canonical string // GET, a line feed, /bucket/
	host      string // as the Host header has it
	region    string
	accessKey string
	secretKey string
	window    time.Duration
	now       func() time.Time

	current atomic.Pointer[signingWindow]
}

// signingWindow holds what the URLs of one signing time share.
type signingWindow struct {
	from    int64  // the signing time, Unix seconds
	query   string // without the ?, and without the signature
	tail    string // of the canonical request: what follows the query
	toSign  string // of the string to sign: what precedes the canonical request's hash
	signers sync.Pool
}

type signer struct {
	mac hash.Hash // keyed with the window's signing key
	buf []byte
}

// appendURL is safe for concurrent use. more is a further part of the query, with its &; its name sorts behind those of SigV4.
func (p *presigner) appendURL(dst []byte, key, more string) []byte {
	w := p.windowAt(p.now())
	s := w.signers.Get().(*signer)

	dst = append(dst, p.base...)
	path := len(dst)
	dst = appendEscaped(dst, key)

	s.buf = append(s.buf[:0], p.canonical...)
	s.buf = append(s.buf, dst[path:]...)
	s.buf = append(s.buf, '\n')
	s.buf = append(s.buf, w.query...)
	s.buf = append(s.buf, more...)
	s.buf = append(s.buf, w.tail...)
	sum := sha256.Sum256(s.buf)
	s.buf = append(s.buf[:0], w.toSign...)
	s.buf = hex.AppendEncode(s.buf, sum[:])
	s.mac.Reset()
	s.mac.Write(s.buf)
	s.buf = s.mac.Sum(s.buf[:0])

	dst = append(dst, '?')
	dst = append(dst, w.query...)
	dst = append(dst, more...)
	dst = append(dst, "&X-Amz-Signature="...)
	dst = hex.AppendEncode(dst, s.buf)
	w.signers.Put(s)
	return dst
}

// windowAt gives the window that t lies in. Windows are counted from the Unix epoch: one of a day begins at 00:00 UTC.
func (p *presigner) windowAt(t time.Time) *signingWindow {
	seconds := int64(p.window / time.Second)
	from := t.Unix() / seconds * seconds
	w := p.current.Load()
	if w == nil || w.from != from {
		// Two that find the window over at once make the same one twice.
		w = p.newWindow(from)
		p.current.Store(w)
	}
	return w
}

func (p *presigner) newWindow(from int64) *signingWindow {
	const algorithm = "AWS4-HMAC-SHA256"
	t := time.Unix(from, 0).UTC()
	date, stamp := t.Format("20060102"), t.Format("20060102T150405Z")
	scope := date + "/" + p.region + "/s3/aws4_request"

	// In the order of the names, as the canonical request wants them.
	query := "X-Amz-Algorithm=" + algorithm +
		"&X-Amz-Credential=" + escapeQuery(p.accessKey+"/"+scope) +
		"&X-Amz-Date=" + stamp +
		"&X-Amz-Expires=" + strconv.FormatInt(int64(urlLife/time.Second), 10) +
		"&X-Amz-SignedHeaders=host"

	key := p.signingKey(date)

	w := &signingWindow{
		from:   from,
		query:  query,
		tail:   "\nhost:" + p.host + "\n\nhost\nUNSIGNED-PAYLOAD",
		toSign: algorithm + "\n" + stamp + "\n" + scope + "\n",
	}
	w.signers.New = func() any { return &signer{mac: hmac.New(sha256.New, key)} }
	return w
}

// signingKey derives the key of a day.
func (p *presigner) signingKey(date string) []byte {
	key := []byte("AWS4" + p.secretKey)
	for _, part := range []string{date, p.region, "s3", "aws4_request"} {
		key = sign(key, part)
	}
	return key
}

func sign(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

const upperHex = "0123456789ABCDEF"

// unreserved are the bytes that SigV4 leaves as they are; all others become %XX.
var unreserved = func() (t [256]bool) {
	for c := range t {
		t[c] = 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
	}
	return t
}()

// appendEscaped appends a key as a path: slashes stay.
func appendEscaped(dst []byte, key string) []byte {
	for i := range len(key) {
		if c := key[i]; unreserved[c] || c == '/' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// escapeQuery is for a query's value: slashes are escaped too.
func escapeQuery(s string) string {
	var dst []byte
	for i := range len(s) {
		if c := s[i]; unreserved[c] {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(dst)
}

// attachment is the Content-Disposition by which an object is saved under the last part of its key.
func attachment(key string) string {
	name := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || r == '"' || r == '\\' {
			return '_'
		}
		return r
	}, key[strings.LastIndexByte(key, '/')+1:])
	return `attachment; filename="` + name + `"`
}
