package spi

import (
	"context"
	"encoding/json"
	"iter"
	"net/url"
)

// PutAnnotations stores what a detector found: all of the documents or none, and ends the leases that they answer. A document
// is an [AnnotationDocument] as JSON, which may have further fields; the server keeps it as it is sent, which is compactly. It
// gives a row for each, without the document. CodeNotFound where an image is not there, CodeConflict
// where it has another md5 or an annotation of that algorithm and version.
//
// It is sent again only where the server refused it (429, 503): after a connection error, 502 or 504 it is open whether the
// documents were stored, and GetAnnotations tells.
func (c *Client) PutAnnotations(ctx context.Context, documents ...json.RawMessage) ([]Annotation, error) {
	return call[Annotation](ctx, c, "put_uid_annotations", documents, true)
}

// GetAnnotations gives the annotations of the images that any of the keys names, each once, ordered by id. See
// [Client.GetImages] for the sequence.
func (c *Client) GetAnnotations(ctx context.Context, part AnnotationPart, keys []ImageKey) iter.Seq2[Annotation, error] {
	return stream[Annotation](ctx, c, "get_uid_annotations/"+url.PathEscape(string(part)), keys, false)
}

// GetAnnotationSeries gives the annotations of the images inside any of the series, each once, ordered by the image's
// device, its datetime, then the annotation's id. See [Client.GetImages] for the sequence.
func (c *Client) GetAnnotationSeries(ctx context.Context, part AnnotationPart, series ...Series) iter.Seq2[Annotation, error] {
	return stream[Annotation](ctx, c, "get_uid_annotations_series/"+url.PathEscape(string(part)), series, false)
}

// longestRow bounds, in bytes, one annotation of a reply: the server takes documents of up to 8 MB, which grow where they are
// written as a string.
func (Annotation) longestRow() int64 { return 64 << 20 }
