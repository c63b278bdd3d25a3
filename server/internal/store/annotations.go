package store

import (
	"context"
	"time"
)

// Annotation is what one algorithm, in one version, found on one image. (ParentImageID, AlgoName, AlgoVersion) is unique.
type Annotation struct {
	ID            int64
	ParentImageID int64
	AlgoName      string
	AlgoVersion   string
	NObjects      int
	JSON          []byte // as it was sent; nil where it was not asked for
	Provenance
}

// NewAnnotation is an annotation to store, with what names its image.
type NewAnnotation struct {
	Device   string // exact, compared without case
	Datetime time.Time
	MD5      string // of the image that was annotated
	Annotation
}

// Annotations keeps what detectors found.
type Annotations interface {
	// AddAnnotations stores all of them or none, gives them with their ids and their images' ids, and ends the leases that
	// they answer (see [Work]). CodeNotFound where an image is not there, CodeConflict where it has another md5 or an
	// annotation of that algorithm and version already; the message names the element by its index.
	AddAnnotations(ctx context.Context, annotations []NewAnnotation) ([]Annotation, error)
	// ImageAnnotations calls fn with every annotation of the images that the keys name, once each, ordered by id. JSON is
	// read only where withJSON. fn as in [Store.Images].
	ImageAnnotations(ctx context.Context, keys []ImageKey, withJSON bool, fn func(*Annotation) error) error
	// AnnotationSeries calls fn with every annotation of the images inside one of the series, once each, ordered by the
	// image's device, then its datetime, then the annotation's id. Memory does not grow with the number of rows.
	AnnotationSeries(ctx context.Context, series []Series, withJSON bool, fn func(*Annotation) error) error
}
