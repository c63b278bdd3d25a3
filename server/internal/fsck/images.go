package fsck

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the rows' checksum and S3's, not a signature
	"encoding/hex"
	"io"
	"strings"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
	"github.com/sticky-pi/sticky-pi-server/server/internal/ingest"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/kit/jpegfile"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// images walks the rows, which come by device without case and then by time, and beside them the objects of each folder,
// whose keys sort by time. Memory holds a page of either, and the names of the folders.
func (r *run) images(ctx context.Context) error {
	device := ""                  // of the rows that come, in small letters
	folders := map[string]*walk{} // of that device, by its name as it is written
	seen := map[string]bool{}     // folders of all devices so far
	finish := func() error {
		for _, w := range folders {
			err := r.leave(ctx, w, "")
			w.stop()
			if err != nil {
				return err
			}
		}
		clear(folders)
		return nil
	}
	defer func() {
		for _, w := range folders {
			w.stop()
		}
	}()
	err := r.Store.ImageSeries(ctx, everything(), func(row *store.Image) error {
		if small := strings.ToLower(row.Device); small != device {
			if err := finish(); err != nil {
				return err
			}
			device = small
			r.at("images", row.Device)
		}
		w := folders[row.Device]
		if w == nil {
			var err error
			if w, err = r.walk(ctx, ingest.KeyPrefix+row.Device+"/"); err != nil {
				return err
			}
			folders[row.Device], seen[row.Device] = w, true
		}
		r.progress.Images++
		r.tell()
		return r.image(ctx, row, w)
	})
	if err == nil {
		err = finish()
	}
	if err != nil {
		return err
	}
	for folder, err := range r.Blobs.Folders(ctx, ingest.KeyPrefix) {
		if err != nil {
			return err
		}
		if seen[folder] {
			continue
		}
		r.at("left-over folders", folder)
		w, err := r.walk(ctx, ingest.KeyPrefix+folder+"/")
		if err == nil {
			err = r.leave(ctx, w, "")
		}
		w.stop()
		if err != nil {
			return err
		}
	}
	r.deleteLeft()
	return nil
}

// leave reports the objects of the walk before the key, or all that are left where it is empty: no row speaks of them.
func (r *run) leave(ctx context.Context, w *walk, before string) error {
	for w.ok && (before == "" || w.head.Key < before) {
		if err := r.leftObject(ctx, w.head); err != nil {
			return err
		}
		if err := r.advance(w); err != nil {
			return err
		}
	}
	return nil
}

// image holds a row against its three objects.
func (r *run) image(ctx context.Context, row *store.Image, w *walk) error {
	keys := ingest.Keys(row)
	if err := r.leave(ctx, w, keys[0]); err != nil {
		return err
	}
	var found [3]*blob.Info
	for i, key := range keys {
		// What sorts between two of an image's keys belongs to no row.
		if err := r.leave(ctx, w, key); err != nil {
			return err
		}
		if w.ok && w.head.Key == key {
			o := w.head
			found[i] = &o
			if err := r.advance(w); err != nil {
				return err
			}
		}
	}
	whole, err := r.original(ctx, row, keys[0], found[0])
	if err != nil {
		return err
	}
	for i := 1; i < len(keys); i++ {
		if err := r.thumbnail(ctx, row, keys[i], found[i], whole); err != nil {
			return err
		}
	}
	return nil
}

// original checks the photograph itself, and says whether thumbnails can be made of it.
func (r *run) original(ctx context.Context, row *store.Image, key string, o *blob.Info) (whole bool, err error) {
	if o == nil {
		there, err := r.stillThere(ctx, row)
		if err != nil || !there {
			return false, err
		}
		// The list was read at another time than the row.
		info, err := r.Blobs.Head(ctx, key)
		if err != nil {
			if spi.CodeOf(err) != spi.CodeNotFound {
				return false, err
			}
			const detail = "the image has a row, and no object"
			if r.DeleteRows {
				gone := *row
				r.after(MissingOriginal, key, detail, func() error { return r.deleteRow(ctx, &gone, key) })
			} else {
				r.fault(MissingOriginal, key, detail, nil)
			}
			return false, nil
		}
		o = &info
	}
	sum := o.ETag
	if r.Deep || !isMD5(sum) {
		if sum, err = r.sum(ctx, key); err != nil {
			if spi.CodeOf(err) == spi.CodeNotFound {
				return false, nil // deleted meanwhile
			}
			return false, err
		}
	}
	if strings.EqualFold(sum, row.MD5) {
		r.whole++
		return true, nil
	}
	there, err := r.stillThere(ctx, row)
	if err == nil && there {
		r.fault(WrongOriginal, key, "its md5 is "+sum+", the row's is "+row.MD5, nil)
	}
	return false, err
}

// stillThere says whether the row is still the one that was read.
func (r *run) stillThere(ctx context.Context, row *store.Image) (there bool, err error) {
	err = r.Store.Images(ctx, []store.ImageKey{{Device: exactly.Replace(row.Device), Datetime: row.Datetime}}, func(now *store.Image) error {
		there = there || now.ID == row.ID
		return nil
	})
	return there, err
}

// deleteRow deletes an image whose original is gone. While its row is locked, it looks a last time.
func (r *run) deleteRow(ctx context.Context, row *store.Image, key string) error {
	return r.Store.DeleteImages(ctx, []store.ImageKey{{Device: exactly.Replace(row.Device), Datetime: row.Datetime}},
		func(ctx context.Context, images []store.Image) error {
			_, err := r.Blobs.Head(ctx, key)
			switch {
			case err == nil:
				return spi.Errorf(spi.CodeConflict, "the object %s is there after all", key)
			case spi.CodeOf(err) != spi.CodeNotFound:
				return err
			}
			var keys []string
			for i := range images {
				keys = append(keys, ingest.Keys(&images[i])...)
			}
			return r.Blobs.Delete(ctx, keys...)
		}, func(*store.Image) error { return nil })
}

// thumbnail checks one of the small pictures, which are made again from the original where that is whole.
func (r *run) thumbnail(ctx context.Context, row *store.Image, key string, o *blob.Info, whole bool) error {
	kind, detail := MissingThumbnail, "the image has a row, and no such object"
	switch {
	case o == nil:
	case o.Size == 0:
		kind, detail = WrongThumbnail, "it is empty"
	case !r.Deep:
		return nil
	default:
		damaged, err := r.damaged(ctx, *o)
		if err != nil || !damaged {
			return err
		}
		kind, detail = WrongThumbnail, "its bytes are others than its ETag says"
	}
	there, err := r.stillThere(ctx, row)
	if err != nil || !there {
		return err
	}
	if o == nil {
		// The list was read at another time than the row.
		if _, err := r.Blobs.Head(ctx, key); err == nil || spi.CodeOf(err) != spi.CodeNotFound {
			return err
		}
	}
	var mend func() error
	switch {
	case r.Repair && whole:
		mend = func() error { return r.makeThumbnail(ctx, row, key) }
	case !whole:
		detail += ", and the original is not whole"
	}
	r.fault(kind, key, detail, mend)
	return nil
}

func (r *run) makeThumbnail(ctx context.Context, row *store.Image, key string) error {
	body, _, err := r.Blobs.Get(ctx, ingest.Key(row.Device, row.Datetime, spi.FullImage))
	if err != nil {
		return err
	}
	defer body.Close()
	file, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if sum := md5.Sum(file); !strings.EqualFold(hex.EncodeToString(sum[:]), row.MD5) { //nolint:gosec // see the import
		return spi.Errorf(spi.CodeConflict, "the original's bytes are not those of its row")
	}
	info, err := jpegfile.Check(file)
	if err != nil {
		return spi.Errorf(spi.CodeInvalid, "%v", err)
	}
	pair, err := r.Thumbnailer.Make(ctx, file, info)
	if err != nil {
		return err
	}
	small := pair.Thumbnail
	if key == ingest.Key(row.Device, row.Datetime, spi.ThumbnailMini) {
		small = pair.Mini
	}
	return r.Blobs.Put(ctx, key, small, blob.Put{ContentType: "image/jpeg", MD5: md5.Sum(small)}) //nolint:gosec // see the import
}

// leftObject reports an object that no row speaks of, unless it is so young that its upload may still be under way.
func (r *run) leftObject(ctx context.Context, o blob.Info) error {
	if r.Now().Sub(o.Modified) < young {
		r.progress.TooYoungToSay++
		return nil
	}
	name, ok := imageOf(o.Key)
	if ok {
		// The row may have come after the rows were read.
		there, err := r.hasRow(ctx, name)
		if err != nil || there {
			return err
		}
	}
	detail := "no row speaks of it; it was put at " + o.Modified.UTC().Format(time.DateTime)
	if r.DeleteObjects {
		r.after(LeftObject, o.Key, detail, func() error { return r.deleteObject(ctx, o, name, ok) })
	} else {
		r.fault(LeftObject, o.Key, detail, nil)
	}
	return nil
}

// imageOf reads the key of an image's object.
func imageOf(key string) (ingest.Name, bool) {
	folder, file, ok := strings.Cut(strings.TrimPrefix(key, ingest.KeyPrefix), "/")
	if !ok {
		return ingest.Name{}, false
	}
	file = strings.TrimSuffix(strings.TrimSuffix(file, ".thumbnail"), ".thumbnail-mini")
	name, err := ingest.ParseName(file)
	if err != nil || name.Device != folder || !bytes.HasPrefix([]byte(key), ingest.AppendKey(nil, name.Device, name.Datetime, spi.FullImage)) {
		return ingest.Name{}, false
	}
	return name, true
}

// hasRow says whether there is a row whose objects have this name, to the letter.
func (r *run) hasRow(ctx context.Context, name ingest.Name) (has bool, err error) {
	err = r.Store.Images(ctx, []store.ImageKey{{Device: name.Device, Datetime: name.Datetime}}, func(row *store.Image) error {
		has = has || row.Device == name.Device
		return nil
	})
	return has, err
}

// deleteObject deletes an object without a row. An upload of that image takes over what it finds, so that the image is
// claimed first: none can be under way then.
func (r *run) deleteObject(ctx context.Context, o blob.Info, name ingest.Name, isImage bool) error {
	if isImage {
		claim, err := r.Store.ClaimImage(ctx, name.Device, name.Datetime)
		switch {
		case err == nil:
			defer claim.Release()
		case spi.CodeOf(err) != spi.CodeConflict:
			return err
		default:
			// There is a row. With the device's other letters its objects are others, and no upload gets past it.
			has, rowErr := r.hasRow(ctx, name)
			if rowErr != nil || has {
				return spi.Wrap(spi.CodeConflict, err, "the image was uploaded meanwhile")
			}
		}
	}
	return r.Blobs.Delete(ctx, o.Key)
}
