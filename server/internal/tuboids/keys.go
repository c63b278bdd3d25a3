package tuboids

import "strings"

// KeyPrefix is where all tuboids are in the bucket.
const KeyPrefix = "tiled_tuboids/"

// Part is one of a tuboid's three objects: the last part of its key.
type Part string

// The parts.
const (
	Picture  Part = "tuboid.jpg"
	Metadata Part = "metadata.txt"
	Context  Part = "context.jpg"
)

func (p Part) contentType() string {
	if p == Metadata {
		return "text/plain; charset=utf-8"
	}
	return "image/jpeg"
}

// AppendKey appends the key of one of a tuboid's objects: tiled_tuboids/SERIES/TUBOID_ID/PART, where SERIES is the tuboid_id
// without its last field. It is on the path of every row of a reply: it does not allocate where dst has room.
func AppendKey(dst []byte, tuboidID string, part Part) []byte {
	dst = append(dst, KeyPrefix...)
	dst = append(dst, tuboidID[:max(0, strings.LastIndexByte(tuboidID, '.'))]...)
	dst = append(dst, '/')
	dst = append(dst, tuboidID...)
	dst = append(dst, '/')
	return append(dst, part...)
}

// Key is [AppendKey] to a string.
func Key(tuboidID string, part Part) string { return string(AppendKey(nil, tuboidID, part)) }

// Keys gives the keys of all objects of a tuboid.
func Keys(tuboidID string) []string {
	return []string{Key(tuboidID, Picture), Key(tuboidID, Metadata), Key(tuboidID, Context)}
}
