package blob

import (
	"context"
	"encoding/hex"
	"strings"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// PutClaimed puts an object for a caller that holds the sole right to make the row that speaks of it. An object that is
// there already was left by somebody who did not come to the row: it is kept where its bytes are the same, else replaced.
// Claims can be lost without notice; so mayReplace is asked before anything is replaced, and its error is given back: it
// looks once more for the row that another may have made meanwhile. how says the type and the md5. CodeUnavailable where
// the object keeps changing.
func PutClaimed(ctx context.Context, s Store, key string, data []byte, how Put, mayReplace func(context.Context, Info) error) error {
	how.IfAbsent, how.IfETag = true, ""
	// Each turn but the last fails only where the object changes under it.
	const turns = 4
	var err error
	for range turns {
		err = s.Put(ctx, key, data, how)
		if err == nil || spi.CodeOf(err) != spi.CodeConflict && (how.IfETag == "" || spi.CodeOf(err) != spi.CodeNotFound) {
			return err
		}
		left, headErr := s.Head(ctx, key)
		switch {
		case headErr != nil && spi.CodeOf(headErr) == spi.CodeNotFound:
			how.IfAbsent, how.IfETag = true, ""
			continue
		case headErr != nil:
			return headErr
		case left.Size == int64(len(data)) && strings.EqualFold(left.ETag, hex.EncodeToString(how.MD5[:])):
			return nil
		}
		if err := mayReplace(ctx, left); err != nil {
			return err
		}
		how.IfAbsent, how.IfETag = false, left.ETag
	}
	return spi.Wrap(spi.CodeUnavailable, err, "others are writing the same object: send it again")
}
