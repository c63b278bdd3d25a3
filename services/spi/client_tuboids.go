package spi

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the protocol's checksum, not a signature
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
)

// PutTuboid uploads a tuboid with the checksums of its files, and gives it. The first tuboid makes the series. CodeConflict
// where the tuboid is there already (never overwritten), where its series is there with other numbers or has all of its
// tuboids; CodeInvalid where the server does not take it.
//
// Where the connection breaks, or a gateway gives up, the server may have stored the tuboid: it is sent again, and where the
// server then answers that it is there, it counts as uploaded.
func (c *Client) PutTuboid(ctx context.Context, upload TuboidUpload) (Tuboid, error) {
	r, err := upload.form()
	if err != nil {
		return Tuboid{}, err
	}
	attempts := c.retry.begin()
	for maybe := false; ; {
		stored, failed := c.putTuboid(ctx, r)
		if failed == nil {
			return stored, nil
		}
		if maybe && failed.status == http.StatusConflict {
			return c.findTuboid(ctx, upload, failed.err)
		}
		if !failed.again {
			return Tuboid{}, failed.err
		}
		maybe = maybe || !failed.refused
		if err := attempts.next(ctx, failed.err); err != nil {
			return Tuboid{}, err
		}
	}
}

// putTuboid makes one attempt.
func (c *Client) putTuboid(ctx context.Context, r request) (Tuboid, *failure) {
	reply, failed := c.authorized(ctx, r)
	if failed != nil {
		return Tuboid{}, failed
	}
	defer discard(reply.Body)
	lists, err := Collect(rows[[]Tuboid](reply.Body))
	switch {
	case ctx.Err() != nil:
		return Tuboid{}, &failure{err: fmt.Errorf("%s: %w", r.endpoint, context.Cause(ctx))}
	case err != nil:
		return Tuboid{}, &failure{err: err, again: true}
	case len(lists) != 1 || len(lists[0]) != 1:
		return Tuboid{}, &failure{err: Errorf(CodeInternal, "the server did not give one tuboid for one")}
	}
	return lists[0][0], nil
}

// findTuboid gives an upload's tuboid where the server has it, and conflict where not.
func (c *Client) findTuboid(ctx context.Context, upload TuboidUpload, conflict error) (Tuboid, error) {
	s := upload.Series
	for t, err := range c.GetTuboidSeries(ctx, TuboidMetadata, Series{Device: s.Device, Start: s.Start, End: s.End}) {
		if err != nil {
			return Tuboid{}, err
		}
		if strings.EqualFold(t.TuboidID, upload.TuboidID) {
			return t, nil
		}
	}
	return Tuboid{}, conflict
}

// form is the request with the multipart form of an upload.
func (u TuboidUpload) form() (request, error) {
	id, err := json.Marshal(u.TuboidID)
	if err != nil {
		return request{}, Wrap(CodeInvalid, err, "the tuboid's name cannot be written as JSON")
	}
	info, err := json.Marshal(u.Series)
	if err != nil {
		return request{}, Wrap(CodeInvalid, err, "the tuboid's series cannot be written as JSON")
	}
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, part := range []struct {
		name, file string
		data       []byte
	}{
		{"tuboid_id", "tuboid_id.json", id}, {"series_info", "series_info.json", info}, {"metadata", "metadata.txt", u.Metadata},
		{"tuboid", "tuboid.jpg", u.Tuboid}, {"context", "context.jpg", u.Context},
	} {
		sum := md5.Sum(part.data) //nolint:gosec // see the import
		err = w.WriteField(part.name+".md5", hex.EncodeToString(sum[:]))
		var to io.Writer
		if err == nil {
			to, err = w.CreateFormFile(part.name, part.file)
		}
		if err == nil {
			_, err = to.Write(part.data)
		}
		if err != nil { // writing to memory does not fail
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return request{
		endpoint: "_put_tiled_tuboids", contentType: w.FormDataContentType(), length: int64(body.Len()),
		body: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body.Bytes())), nil },
	}, nil
}

// GetTuboidSeries gives the tuboids of the series that lie inside any of the spans, both bounds included, each once, ordered
// by the series' device, its start, its id, then the number in the series. See [Client.GetImages] for the sequence.
func (c *Client) GetTuboidSeries(ctx context.Context, part TuboidPart, spans ...Series) iter.Seq2[Tuboid, error] {
	return stream[Tuboid](ctx, c, "get_tiled_tuboid_series/"+url.PathEscape(string(part)), spans, false)
}

// DeleteTuboids deletes the series that lie inside any of the spans, both bounds included, with their tuboids, labels and
// objects, and gives them. For admins.
//
// Where a reply is lost and the request sent again, series that the first one deleted are not among those given.
func (c *Client) DeleteTuboids(ctx context.Context, spans ...Series) ([]TuboidSeries, error) {
	return call[TuboidSeries](ctx, c, "delete_tiled_tuboids", spans, false)
}

// PutLabels stores labels of tuboids: all or none. CodeNotFound where a tuboid is not there, CodeConflict where it has a label
// of that algorithm and version.
//
// It is sent again only where the server refused it (429, 503): after a connection error, 502 or 504 it is open whether the
// labels were stored, and GetLabels tells.
func (c *Client) PutLabels(ctx context.Context, labels ...NewLabel) ([]Label, error) {
	return call[Label](ctx, c, "put_itc_labels", labels, true)
}

// GetLabels gives the labels of the tuboids of those names, each once, ordered by id. See [Client.GetImages] for the sequence.
func (c *Client) GetLabels(ctx context.Context, tuboidIDs ...string) iter.Seq2[Label, error] {
	type name struct {
		TuboidID string `json:"tuboid_id"`
	}
	names := make([]name, len(tuboidIDs))
	for i, id := range tuboidIDs {
		names[i].TuboidID = id
	}
	return stream[Label](ctx, c, "_get_itc_labels", names, false)
}
