package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

const (
	maxAlgoName    = 64
	maxAlgoVersion = 46
	// maxJSON, in bytes, is half of what MariaDB takes in a statement unless it is told otherwise.
	maxJSON = 8 << 20
	// annotationIDs is how many rows of annotations a query asks for. MariaDB turns longer lists into temporary tables.
	annotationIDs = 900
	// jsonBytes is about how much JSON is read at once.
	jsonBytes = 4 << 20

	annotationColumns = "id, parent_image_id, algo_name, algo_version, n_objects, datetime_created, api_version, api_user"
)

// checkAlgorithm looks at the name and the version of an algorithm. MariaDB would take "uid " for "uid".
func checkAlgorithm(table, name, version string) error {
	for _, f := range []field{{"algo_name", name, maxAlgoName}, {"algo_version", version, maxAlgoVersion}} {
		if f.value == "" || strings.TrimSpace(f.value) != f.value {
			return spi.Errorf(spi.CodeInvalid, "writing table %s: %s is empty, or begins or ends with a blank", table, f.name)
		}
		if err := checkTexts(table, f); err != nil {
			return err
		}
	}
	return nil
}

func checkAnnotation(a *store.NewAnnotation) error {
	if err := checkAlgorithm("uid_annotations", a.AlgoName, a.AlgoVersion); err != nil {
		return err
	}
	switch {
	case a.NObjects < 0 || a.NObjects > math.MaxInt32:
		return spi.Errorf(spi.CodeInvalid, "writing table uid_annotations: %d is no number of objects", a.NObjects)
	case len(a.JSON) > maxJSON:
		return spi.Errorf(spi.CodeTooLarge, "writing table uid_annotations: json has %d bytes; at most %d are possible", len(a.JSON), maxJSON)
	case !isText(string(a.JSON)):
		return spi.Errorf(spi.CodeInvalid, "writing table uid_annotations: json is not valid text")
	}
	return checkProvenance("uid_annotations", a.Provenance)
}

// atElement names the element that an error is about.
func atElement(i int, err error) error {
	var typed *spi.Error
	if !errors.As(err, &typed) {
		return err
	}
	return spi.Wrap(typed.Code, err, "element %d: %s", i, typed.Message)
}

// AddAnnotations stores all of them or none, and ends the leases that they answer.
func (s *Store) AddAnnotations(ctx context.Context, annotations []store.NewAnnotation) ([]store.Annotation, error) {
	if len(annotations) == 0 {
		return nil, nil
	}
	added := make([]store.Annotation, len(annotations))
	for i := range annotations {
		n := &annotations[i]
		if err := checkAnnotation(n); err != nil {
			return nil, atElement(i, err)
		}
		// The image is looked up before the transaction: what it is does not change, and if it goes, its foreign key says so.
		image, md5, err := s.imageAt(ctx, s.read, n.Device, n.Datetime)
		switch {
		case err == nil && image == 0:
			return nil, spi.Errorf(spi.CodeNotFound, "element %d: there is no image of device %.16q at %s", i, n.Device, spi.FormatDatetime(n.Datetime, spi.DateV2))
		case err == nil && !strings.EqualFold(md5, n.MD5):
			err = spi.Errorf(spi.CodeConflict, "element %d: the image of device %s at %s has md5 %s, not %.64q", i, n.Device, spi.FormatDatetime(n.Datetime, spi.DateV2), md5, n.MD5)
		}
		if err != nil {
			return nil, s.fail(ctx, err, "reading", "table images")
		}
		added[i] = n.Annotation
		added[i].ParentImageID = image
		added[i].DatetimeCreated = n.DatetimeCreated.UTC().Truncate(time.Second)
	}
	err := s.inTx(ctx, "writing", "table uid_annotations", func(tx *sql.Tx) error {
		// Prepared, so that the server gets the JSON as it is, not quoted in a statement of up to twice the size.
		insert, err := tx.PrepareContext(ctx, `INSERT INTO uid_annotations (parent_image_id, algo_name, algo_version, n_objects, json,
			datetime_created, api_version, api_user) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`)
		if err != nil {
			return err
		}
		defer insert.Close()
		for i := range added {
			a := &added[i]
			result, err := insert.ExecContext(ctx, a.ParentImageID, a.AlgoName, a.AlgoVersion, a.NObjects, string(a.JSON),
				s.dialect.datetime(a.DatetimeCreated), a.APIVersion, a.APIUser)
			if err != nil {
				return s.annotationError(err, i, &annotations[i])
			}
			if a.ID, err = result.LastInsertId(); err != nil {
				return err
			}
		}
		if err := s.noteAnnotations(ctx, tx, added); err != nil {
			return err
		}
		days := make([]deviceDay, len(annotations))
		for i := range annotations {
			days[i] = deviceDay{fold(annotations[i].Device), dayOf(annotations[i].Datetime.Unix())}
		}
		return s.touchDays(ctx, tx, days)
	})
	if err != nil {
		return nil, err
	}
	return added, nil
}

// annotationError gives the errors that the caller is to blame for a text of their own.
func (s *Store) annotationError(err error, i int, n *store.NewAnnotation) error {
	at := spi.FormatDatetime(n.Datetime, spi.DateV2)
	switch s.dialect.classify(err).code {
	case spi.CodeConflict:
		return spi.Wrap(spi.CodeConflict, err, "element %d: the image of device %s at %s has an annotation of algorithm %q, version %q, already",
			i, n.Device, at, n.AlgoName, n.AlgoVersion)
	case spi.CodeNotFound:
		return spi.Wrap(spi.CodeNotFound, err, "element %d: there is no image of device %s at %s any more", i, n.Device, at)
	}
	return err
}

type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// imageAt finds the image of that device and time; id is 0 where there is none.
func (s *Store) imageAt(ctx context.Context, db rowQuerier, device string, datetime time.Time) (id int64, md5 string, err error) {
	if !isText(device) || datetime.Nanosecond() != 0 {
		return 0, "", nil
	}
	var found string
	err = db.QueryRowContext(ctx, "SELECT id, device, md5 FROM images WHERE device = ? AND datetime = ?", device, s.dialect.datetime(datetime)).Scan(&id, &found, &md5)
	// MariaDB also takes devices for equal that differ in accents or in spaces at the end.
	if errors.Is(err, sql.ErrNoRows) || err == nil && fold(found) != fold(device) {
		return 0, "", nil
	}
	return id, md5, err
}

// ImageAnnotations calls fn with every annotation of the images that the keys name, ordered by id.
func (s *Store) ImageAnnotations(ctx context.Context, keys []store.ImageKey, withJSON bool, fn func(*store.Annotation) error) error {
	images, err := s.imageIDs(ctx, keys)
	if err != nil {
		return s.fail(ctx, err, "reading", "table images")
	}
	var all []int64
	for chunk := range slices.Chunk(images, annotationIDs) {
		found, err := s.annotationsOf(ctx, chunk)
		if err != nil {
			return s.fail(ctx, err, "reading", "table uid_annotations")
		}
		for _, f := range found {
			all = append(all, f.id)
		}
		if err := s.checkKeyed(all); err != nil {
			return err
		}
	}
	slices.Sort(all)
	return newAnnotationReader(s, withJSON).each(ctx, all, fn)
}

// AnnotationSeries calls fn with every annotation of the images inside one of the series, ordered by the image's device,
// its datetime, then id.
func (s *Store) AnnotationSeries(ctx context.Context, series []store.Series, withJSON bool, fn func(*store.Annotation) error) error {
	r := newAnnotationReader(s, withJSON)
	from := "SELECT id, device, datetime FROM images" + s.dialect.byDeviceTime + " WHERE "
	return s.seriesPages(ctx, series, from, func(images []store.Image) error {
		for chunk := range slices.Chunk(images, annotationIDs) {
			place := make(map[int64]int, len(chunk))
			var ids []int64
			for i := range chunk {
				place[chunk[i].ID] = i
				ids = append(ids, chunk[i].ID)
			}
			if err := r.ofImages(ctx, ids, place, fn); err != nil {
				return err
			}
		}
		return nil
	})
}

type annotationID struct{ id, image int64 }

// annotationsOf finds the annotations of the images. Only an index is read.
func (s *Store) annotationsOf(ctx context.Context, images []int64) (found []annotationID, err error) {
	rows, err := s.read.QueryContext(ctx, "SELECT id, parent_image_id FROM uid_annotations"+s.dialect.useIndex("annotation_id")+
		" WHERE parent_image_id IN ("+placeholders(len(images))+")", anys(images)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var one annotationID
	places := []any{&intoInt64{&one.id}, &intoInt64{&one.image}}
	for rows.Next() {
		if err := rows.Scan(places...); err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, rows.Err()
}

// annotationReader reads annotations in groups, whose size follows that of the JSON in them.
type annotationReader struct {
	s        *Store
	withJSON bool
	n        int // rows of the next group
	most     int // rows of any group
	row      store.Annotation
	json     sql.RawBytes
	places   []any
}

func newAnnotationReader(s *Store, withJSON bool) *annotationReader {
	r := &annotationReader{s: s, withJSON: withJSON, n: annotationIDs, most: annotationIDs}
	in := make(interner)
	r.places = []any{&intoInt64{&r.row.ID}, &intoInt64{&r.row.ParentImageID}, &intoText{&r.row.AlgoName, in}, &intoText{&r.row.AlgoVersion, in},
		&intoInt{&r.row.NObjects}, &intoTime{&r.row.DatetimeCreated}, &intoNullText{&r.row.APIVersion, in}, &intoNullText{&r.row.APIUser, in}}
	if withJSON {
		r.places = append(r.places, &r.json)
		r.n = 64
	}
	return r
}

// each calls fn with the annotations of those ids that are there, in that order.
func (r *annotationReader) each(ctx context.Context, ids []int64, fn func(*store.Annotation) error) error {
	for len(ids) > 0 {
		group := ids[:min(len(ids), r.n)]
		found, size, err := r.read(ctx, " WHERE id", group)
		if err != nil {
			return r.s.fail(ctx, err, "reading", "table uid_annotations")
		}
		if size > jsonBytes && len(group) > 1 { // it was not read to its end
			r.n = max(1, len(group)/4)
			continue
		}
		if size < jsonBytes/4 {
			r.n = min(2*r.n, r.most)
		}
		ids = ids[len(group):]
		place := make(map[int64]int, len(found))
		for i := range found {
			place[found[i].ID] = i
		}
		for _, id := range group {
			if i, ok := place[id]; ok {
				if err := fn(&found[i]); err != nil {
					return err
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return r.s.fail(ctx, err, "reading", "table uid_annotations")
		}
	}
	return nil
}

// ofImages calls fn with the annotations of those images, ordered by the image's place, then id.
func (r *annotationReader) ofImages(ctx context.Context, images []int64, place map[int64]int, fn func(*store.Annotation) error) error {
	if r.withJSON {
		found, err := r.s.annotationsOf(ctx, images)
		if err != nil {
			return r.s.fail(ctx, err, "reading", "table uid_annotations")
		}
		slices.SortFunc(found, func(a, b annotationID) int {
			return cmp.Or(cmp.Compare(place[a.image], place[b.image]), cmp.Compare(a.id, b.id))
		})
		ids := make([]int64, len(found))
		for i, f := range found {
			ids[i] = f.id
		}
		return r.each(ctx, ids, fn)
	}
	// Without JSON, the rows are small enough to be held as they come.
	found, _, err := r.read(ctx, r.s.dialect.useIndex("annotation_id")+" WHERE parent_image_id", images)
	if err != nil {
		return r.s.fail(ctx, err, "reading", "table uid_annotations")
	}
	slices.SortFunc(found, func(a, b store.Annotation) int {
		return cmp.Or(cmp.Compare(place[a.ParentImageID], place[b.ParentImageID]), cmp.Compare(a.ID, b.ID))
	})
	for i := range found {
		if err := fn(&found[i]); err != nil {
			return err
		}
	}
	return nil
}

// read reads the annotations whose id, or what where says, is one of the numbers, until there is too much JSON.
func (r *annotationReader) read(ctx context.Context, where string, numbers []int64) (found []store.Annotation, size int, err error) {
	columns := annotationColumns
	if r.withJSON {
		columns += ", json"
	}
	rows, err := r.s.read.QueryContext(ctx, "SELECT "+columns+" FROM uid_annotations"+where+" IN ("+placeholders(len(numbers))+")", anys(numbers)...)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	found = make([]store.Annotation, 0, len(numbers))
	for rows.Next() {
		if err := rows.Scan(r.places...); err != nil {
			return nil, 0, err
		}
		if r.withJSON {
			r.row.JSON = make([]byte, len(r.json))
			size += copy(r.row.JSON, r.json)
		}
		found = append(found, r.row)
		if size > jsonBytes {
			break
		}
	}
	return found, size, rows.Err()
}
