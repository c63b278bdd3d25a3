package fsck

import (
	"context"
	"strings"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/tuboids"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// tuboids walks the rows, which come series by series, and lists the objects of one series at a time.
func (r *run) tuboids(ctx context.Context) error {
	var ids []string          // of the series that is being read
	seen := map[string]bool{} // folders
	finish := func() error {
		if len(ids) == 0 {
			return nil
		}
		folder := seriesFolder(ids[0])
		seen[folder] = true
		r.at("tuboids", folder)
		err := r.tuboidSeries(ctx, folder, ids)
		ids = ids[:0]
		return err
	}
	err := r.Tuboids.TuboidSeries(ctx, everything(), func(t *store.Tuboid) error {
		if len(ids) > 0 && seriesFolder(ids[0]) != seriesFolder(t.TuboidID) {
			if err := finish(); err != nil {
				return err
			}
		}
		r.progress.Tuboids++
		ids = append(ids, t.TuboidID)
		return nil
	})
	if err == nil {
		err = finish()
	}
	if err != nil {
		return err
	}
	for folder, err := range r.Blobs.Folders(ctx, tuboids.KeyPrefix) {
		if err != nil {
			return err
		}
		if !seen[folder] {
			if err := r.tuboidSeries(ctx, folder, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// seriesFolder is the part of the keys that all tuboids of a series share.
func seriesFolder(tuboidID string) string {
	return tuboidID[:max(0, strings.LastIndexByte(tuboidID, '.'))]
}

// tuboidSeries holds the tuboids of a folder against its objects.
func (r *run) tuboidSeries(ctx context.Context, folder string, ids []string) error {
	objects := map[string]blob.Info{}
	for o, err := range r.Blobs.List(ctx, tuboids.KeyPrefix+folder+"/") {
		if err != nil {
			return err
		}
		r.progress.Objects++
		objects[o.Key] = o
	}
	for _, id := range ids {
		for _, key := range tuboids.Keys(id) {
			o, ok := objects[key]
			delete(objects, key)
			if err := r.tuboidObject(ctx, id, key, o, ok); err != nil {
				return err
			}
		}
	}
	for _, o := range objects {
		if err := r.leftTuboid(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) tuboidObject(ctx context.Context, id, key string, o blob.Info, ok bool) error {
	if !ok {
		rows, err := r.Tuboids.TuboidsByName(ctx, []string{id})
		if err != nil || len(rows) == 0 { // deleted meanwhile
			return err
		}
		if _, err := r.Blobs.Head(ctx, key); err == nil || spi.CodeOf(err) != spi.CodeNotFound {
			return err
		}
		r.fault(MissingTuboid, key, "the tuboid has a row, and no such object", nil)
		return nil
	}
	if !r.Deep {
		return nil
	}
	damaged, err := r.damaged(ctx, o)
	if err == nil && damaged {
		r.fault(WrongTuboid, key, "its bytes are others than its ETag says", nil)
	}
	return err
}

// leftTuboid reports an object that no tuboid's row speaks of. It stays: it may be all that is left of somebody's work, and
// it is small.
func (r *run) leftTuboid(ctx context.Context, o blob.Info) error {
	if r.Now().Sub(o.Modified) < young {
		r.progress.TooYoungToSay++
		return nil
	}
	parts := strings.Split(o.Key, "/") // tiled_tuboids/SERIES/TUBOID_ID/PART
	if len(parts) == 4 {
		rows, err := r.Tuboids.TuboidsByName(ctx, []string{parts[2]})
		if err != nil {
			return err
		}
		if len(rows) == 1 && rows[0].TuboidID == parts[2] {
			for _, key := range tuboids.Keys(parts[2]) {
				if key == o.Key {
					return nil // its row came after the rows were read
				}
			}
		}
	}
	r.fault(LeftObject, o.Key, "no tuboid's row speaks of it", nil)
	return nil
}
