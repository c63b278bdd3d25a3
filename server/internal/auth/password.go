package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"golang.org/x/crypto/argon2"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Cost of argon2id, as the documentation of golang.org/x/crypto/argon2 recommends (after the draft of RFC 9106): one pass
// over 64 MiB in four lanes.
const (
	argonTime    = 1
	argonMemory  = 64 * 1024 // KiB
	argonThreads = 4
	argonKey     = 32 // bytes
	argonSalt    = 16 // bytes
)

// decoyHash is a hash, with today's cost, of a password that was thrown away.
const decoyHash = "$argon2id$v=19$m=65536,t=1,p=4$c3RpY2t5LXBpLWRlY295IQ$0ZFJ0nkX1bQm3l1m2n4o5p6q7r8s9t0u1v2w3x4y5z4"

// newHash gives the PHC string of the password's argon2id hash with a fresh salt.
func newHash(password string) (string, error) {
	salt := make([]byte, argonSalt)
	if _, err := rand.Read(salt); err != nil {
		return "", spi.Wrap(spi.CodeInternal, err, "no random numbers")
	}
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		b64.EncodeToString(salt), b64.EncodeToString(key)), nil
}

// checkPassword says whether the password is right, and whether the hash is of today's kind and cost. A hash that cannot
// be read is an error: that account's row is damaged.
func checkPassword(hash, password string) (right, current bool, err error) {
	if isArgon2id(hash) {
		return checkArgon2id(hash, password)
	}
	digest, err := shacrypt.Decode(hash)
	if err != nil {
		return false, false, spi.Wrap(spi.CodeInternal, err, "the stored password of this account cannot be read: an admin must reset it")
	}
	return digest.Match(password), false, nil
}

func isArgon2id(hash string) bool { return strings.HasPrefix(hash, "$argon2id$") }

func checkArgon2id(hash, password string) (right, current bool, err error) {
	var version int
	var memory, time uint32
	var threads uint8
	var salt, key []byte
	fields := strings.Split(hash, "$") // "", argon2id, v=, m=,t=,p=, salt, key
	if len(fields) != 6 {
		err = fmt.Errorf("%d fields", len(fields))
	}
	if err == nil {
		_, err = fmt.Sscanf(fields[2]+" "+fields[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &time, &threads)
	}
	if err == nil {
		salt, err = base64.RawStdEncoding.DecodeString(fields[4])
	}
	if err == nil {
		key, err = base64.RawStdEncoding.DecodeString(fields[5])
	}
	if err == nil && (version != argon2.Version || time == 0 || threads == 0 || memory > 1<<20 || len(key) < 16 || len(key) > 128) {
		err = fmt.Errorf("parameters out of range: %s %s", fields[2], fields[3])
	}
	if err != nil {
		return false, false, spi.Wrap(spi.CodeInternal, err, "the stored password of this account cannot be read: an admin must reset it")
	}
	got := argon2.IDKey([]byte(password), salt, time, memory, threads, uint32(len(key)))
	current = memory == argonMemory && time == argonTime && threads == argonThreads && len(key) == argonKey
	return subtle.ConstantTimeCompare(got, key) == 1, current, nil
}
