package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"time"

	kitprogress "github.com/sticky-pi/sticky-pi-server/services/kit/progress"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// maxInput bounds, in bytes, a file or standard input that a command reads whole: what the server takes in one request.
const maxInput = 100 << 20

// readInput reads a file, or standard input where it is "-".
func (a *app) readInput(path string) ([]byte, error) {
	in := io.Reader(a.in)
	if path != "-" {
		f, err := os.Open(path) //nolint:gosec // the user names the file
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err == nil && len(text) > maxInput {
		err = fmt.Errorf("%s is larger than 100 MB: split it", path)
	}
	return text, err
}

// documents reads JSON objects: a list of them, or one after the other.
func documents(text []byte) ([]json.RawMessage, error) {
	text = bytes.TrimSpace(text)
	if len(text) > 0 && text[0] == '[' {
		var all []json.RawMessage
		if err := json.Unmarshal(text, &all); err != nil {
			return nil, fmt.Errorf("not JSON: %w", err)
		}
		return all, nil
	}
	var all []json.RawMessage
	for dec := json.NewDecoder(bytes.NewReader(text)); ; {
		var one json.RawMessage
		err := dec.Decode(&one)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("not JSON: %w", err)
		}
		all = append(all, one)
	}
}

// inputFile is a file that a command sends, with what it holds.
type inputFile[T any] struct {
	path  string
	items []T
}

// inputs reads the files that a command sends, all of them before anything is sent: a mistake in the last one is found
// while nothing is done yet.
func inputs[T any](a *app, paths []string) ([]inputFile[T], error) {
	all := make([]inputFile[T], len(paths))
	for i, path := range paths {
		text, err := a.readInput(path)
		if err != nil {
			return nil, err
		}
		docs, err := documents(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all[i] = inputFile[T]{path: path, items: make([]T, len(docs))}
		for j, doc := range docs {
			if err := json.Unmarshal(doc, &all[i].items[j]); err != nil {
				return nil, fmt.Errorf("%s: element %d: %w", path, j, err)
			}
		}
		if len(docs) == 0 {
			return nil, fmt.Errorf("%s is empty", path)
		}
	}
	return all, nil
}

// send gives each file to do, tells of those that fail, and ends with how many of the noun were stored. Errors that every file
// would meet end it at once.
func send[T, R any](ctx context.Context, a *app, noun string, files []inputFile[T], do func(items []T) ([]R, error)) error {
	done, failed := 0, 0
	for _, f := range files {
		rows, err := do(f.items)
		if err == nil {
			done += len(rows)
			continue
		}
		status, text := a.explain(ctx, err)
		if status != exitFailed || len(files) == 1 {
			return err
		}
		failed++
		a.remark("%s: %s", printable(f.path), text)
	}
	fmt.Fprintln(a.out, kitprogress.Count(int64(done), noun, noun+"s"), "stored")
	if failed > 0 {
		return someFailedf(int64(done), "%d of %d files were refused", failed, len(files))
	}
	return nil
}

type annotationsCmd struct {
	Get annotationsGetCmd `cmd:"" help:"List what detectors found."`
	Put annotationsPutCmd `cmd:"" help:"Store what a detector found."`
}

type annotationsGetCmd struct {
	rangeFlags
	outputFlags
	Documents bool `help:"The documents with their outlines alone, a line each, as 'spi annotations put' takes them." xor:"form"`
	Full      bool `help:"Add the documents to --json and --csv, as the field json."`
}

func (c annotationsGetCmd) Run(ctx context.Context, a *app) error {
	client, series, zone, err := c.open(a)
	if err != nil {
		return err
	}
	if c.Documents {
		for row, err := range client.GetAnnotationSeries(ctx, spi.AnnotationDocuments, series...) {
			if err == nil {
				err = writeDocument(a.out, row)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	part, images := spi.AnnotationRows, rowImages
	if c.Full {
		part, images = spi.AnnotationDocuments, documentImages
	}
	return showFound(a, c.outputFlags, "annotations", series, annotations(ctx, client, part, images, series),
		column[annotated]{"DEVICE", func(r annotated) string { return r.Device }},
		column[annotated]{"TAKEN (" + zone.String() + ")", func(r annotated) string { return shown(r.Datetime, zone) }},
		column[annotated]{"INSECTS", func(r annotated) string { return strconv.Itoa(r.NObjects) }},
		column[annotated]{"ALGORITHM", func(r annotated) string { return r.AlgoName }},
		column[annotated]{"VERSION", func(r annotated) string { return r.AlgoVersion }},
		column[annotated]{"MADE (" + zone.String() + ")", func(r annotated) string { return shown(r.DatetimeCreated, zone) }},
	)
}

// annotated is an annotation, with the image that it is of.
type annotated struct {
	Device   string       `json:"device"`
	Datetime spi.Datetime `json:"datetime"`
	spi.Annotation
}

// How many images' annotations are asked for at a time. The images' own reply waits meanwhile, which a server bears for a
// minute only.
const (
	rowImages      = 1000 // some 200 kB
	documentImages = 100  // some 2 MB
)

// annotations gives the annotations of the images inside the series, which are of one range of time, ordered by device, then
// the image's datetime. Rows of annotations name their images by number alone, and so some images are read, then what was
// found on them.
func annotations(ctx context.Context, client *spi.Client, part spi.AnnotationPart, images int, series []spi.Series) iter.Seq2[annotated, error] {
	return func(yield func(annotated, error) bool) {
		of := make(map[int64]spi.ImageKey, images)
		var stretches []spi.Series // the images of, a device each
		give := func() (goOn bool) {
			if len(of) == 0 {
				return true
			}
			for row, err := range client.GetAnnotationSeries(ctx, part, stretches...) {
				image, known := of[row.ParentImageID]
				if err == nil && !known { // it came a moment ago
					continue
				}
				if !yield(annotated{image.Device, image.Datetime, row}, err) || err != nil {
					return false
				}
			}
			clear(of)
			stretches = stretches[:0]
			return true
		}
		for image, err := range client.GetImageSeries(ctx, spi.Metadata, series...) {
			if err != nil {
				yield(annotated{}, err)
				return
			}
			of[image.ID] = spi.ImageKey{Device: image.Device, Datetime: image.Datetime}
			end := spi.Datetime{Time: image.Datetime.Add(time.Second)}
			if n := len(stretches); n > 0 && stretches[n-1].Device == image.Device {
				stretches[n-1].End = end
			} else {
				stretches = append(stretches, spi.Series{Device: image.Device, Start: image.Datetime, End: end})
			}
			if len(of) == images && !give() {
				return
			}
		}
		give()
	}
}

// writeDocument writes an annotation's document in one line that harms no terminal.
func writeDocument(w io.Writer, row spi.Annotation) error {
	var line bytes.Buffer
	if err := json.Compact(&line, []byte(row.JSON)); err != nil {
		return fmt.Errorf("the document of annotation %d is not JSON: %w", row.ID, err)
	}
	line.WriteByte('\n')
	_, err := w.Write(harmless(line.Bytes()))
	return err
}

type annotationsPutCmd struct {
	Files []string `arg:"" name:"file" help:"Documents as JSON: one, several after each other, or a list. -: standard input."`
}

func (c annotationsPutCmd) Run(ctx context.Context, a *app) error {
	files, err := inputs[json.RawMessage](a, c.Files)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	return send(ctx, a, "annotation", files, func(docs []json.RawMessage) ([]spi.Annotation, error) {
		return client.PutAnnotations(ctx, docs...)
	})
}

type tuboidsCmd struct {
	Get tuboidsGetCmd `cmd:"" help:"List tracked insects, or download their pictures."`
	Put tuboidsPutCmd `cmd:"" help:"Upload tracked insects."`
}

type tuboidsGetCmd struct {
	rangeFlags
	outputFlags
	Out string `short:"o" type:"path" placeholder:"DIR" help:"Download tuboid.jpg, context.jpg and metadata.txt of each into DIR/SERIES/TUBOID, where they are not there yet."`
}

func (tuboidsGetCmd) Help() string {
	return "A series of tuboids is meant where it lies inside of the range as a whole."
}

func (c tuboidsGetCmd) Run(ctx context.Context, a *app) error {
	client, series, zone, err := c.open(a)
	if err != nil {
		return err
	}
	if c.Out != "" {
		return c.download(ctx, a, client, series)
	}
	part := spi.TuboidMetadata
	if c.JSON || c.CSV {
		part = spi.TuboidData
	}
	return showFound(a, c.outputFlags, "tuboids", series, client.GetTuboidSeries(ctx, part, series...),
		column[spi.Tuboid]{"TUBOID", func(t spi.Tuboid) string { return t.TuboidID }},
		column[spi.Tuboid]{"SHOTS", func(t spi.Tuboid) string { return strconv.Itoa(t.NShots) }},
		column[spi.Tuboid]{"FROM (" + zone.String() + ")", func(t spi.Tuboid) string { return shown(t.Start, zone) }},
		column[spi.Tuboid]{"TO", func(t spi.Tuboid) string { return shown(t.End, zone) }},
	)
}

// download gets the files of each tuboid, one after the other: they are small and few.
func (c tuboidsGetCmd) download(ctx context.Context, a *app, client *spi.Client, series []spi.Series) error {
	unlock, err := lockFolder(c.Out)
	if err != nil {
		return err
	}
	defer unlock()
	p := a.progress("downloaded", "tuboids")
	err = c.each(ctx, a, client, p, series)
	p.Stop()
	fmt.Fprintf(a.out, "%s downloaded (%s), %s there already, %d failed\n", kitprogress.Count(p.done.Load(), "tuboid", "tuboids"), kitprogress.Size(p.moved.Load()),
		kitprogress.Count(p.skipped.Load(), "was", "were"), p.failed.Load())
	if err == nil && p.failed.Load() > 0 {
		err = someFailedf(p.done.Load()+p.skipped.Load(), "%d of %d tuboids failed; the same command tries them again", p.failed.Load(), p.total.Load())
	}
	return err
}

func (c tuboidsGetCmd) each(ctx context.Context, a *app, client *spi.Client, p *progress, series []spi.Series) error {
	tuboids, err := spi.Collect(client.GetTuboidSeries(ctx, spi.TuboidData, series...))
	if err != nil {
		return err
	}
	p.Expect(int64(len(tuboids)))
	p.Counted()
	for _, t := range tuboids {
		dir, err := tuboidFolder(t.TuboidID)
		if err != nil {
			p.Failed()
			p.Printf("%s", printable(err.Error()))
			continue
		}
		n, err := c.files(ctx, client, p, t, filepath.Join(c.Out, dir))
		var wire *spi.Error
		switch {
		case err == nil && n == 0:
			p.Skipped()
		case err == nil:
			p.Done()
		case ctx.Err() == nil && errors.As(err, &wire):
			p.Failed()
			_, text := a.explain(ctx, err)
			p.Printf("%s: %s", printable(t.TuboidID), text)
		default:
			return err
		}
	}
	return nil
}

// files gets those of a tuboid's files that are missing, and says how many they were.
func (c tuboidsGetCmd) files(ctx context.Context, client *spi.Client, p *progress, t spi.Tuboid, dir string) (n int, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	for _, f := range []struct{ name, url string }{
		{"tuboid.jpg", t.TuboidURL}, {"metadata.txt", t.MetadataURL}, {"context.jpg", t.ContextURL},
	} {
		path := filepath.Join(dir, f.name)
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			continue
		}
		if err := fetchFile(ctx, client, p, f.url, path, "", time.Time{}); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// tuboidFolder is SERIES/TUBOID, of a name from the server that must not lead elsewhere.
func tuboidFolder(id string) (string, error) {
	fields := bytes.Split([]byte(id), []byte("."))
	dir := filepath.Join(string(bytes.Join(fields[:len(fields)-1], []byte("."))), id)
	for _, r := range id {
		if r != '.' && r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return "", fmt.Errorf("%q cannot be the name of a folder: it is not downloaded", id)
		}
	}
	if len(fields) != 5 || !isDevice(string(fields[0])) || !filepath.IsLocal(dir) {
		return "", fmt.Errorf("%q is not the name of a tuboid: it is not downloaded", id)
	}
	return dir, nil
}

type tuboidsPutCmd struct {
	Series  string   `required:"" type:"path" placeholder:"FILE" help:"The series as JSON: device, start_datetime, end_datetime, algo_name, algo_version, n_tuboids, n_images."`
	Folders []string `arg:"" type:"path" name:"folder" help:"A tuboid each: a folder of its name, with tuboid.jpg, context.jpg and metadata.txt."`
}

func (c tuboidsPutCmd) Run(ctx context.Context, a *app) error {
	text, err := readSmall(c.Series)
	if err != nil {
		return err
	}
	var info spi.TuboidSeriesInfo
	if err := json.Unmarshal(text, &info); err != nil {
		return fmt.Errorf("%s: not a series: %w", c.Series, err)
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	p := a.progress("uploaded", "tuboids")
	p.Expect(int64(len(c.Folders)))
	p.Counted()
	err = c.each(ctx, a, client, p, info)
	p.Stop()
	fmt.Fprintf(a.out, "%s uploaded (%s), %d failed\n", kitprogress.Count(p.done.Load(), "tuboid", "tuboids"), kitprogress.Size(p.moved.Load()), p.failed.Load())
	if err == nil && p.failed.Load() > 0 {
		err = someFailedf(p.done.Load(), "%d of %d tuboids failed", p.failed.Load(), len(c.Folders))
	}
	return err
}

func (c tuboidsPutCmd) each(ctx context.Context, a *app, client *spi.Client, p *progress, info spi.TuboidSeriesInfo) error {
	for _, dir := range c.Folders {
		upload := spi.TuboidUpload{TuboidID: filepath.Base(dir), Series: info}
		var err error
		bytes := 0
		for _, f := range []struct {
			name string
			to   *[]byte
		}{{"tuboid.jpg", &upload.Tuboid}, {"metadata.txt", &upload.Metadata}, {"context.jpg", &upload.Context}} {
			if err == nil {
				*f.to, err = a.readInput(filepath.Join(dir, f.name))
				bytes += len(*f.to)
			}
		}
		if err == nil {
			_, err = client.PutTuboid(ctx, upload)
		}
		if err == nil {
			p.Moved(int64(bytes))
			p.Done()
			continue
		}
		status, text := a.explain(ctx, err)
		if status != exitFailed {
			return err
		}
		p.Failed()
		p.Printf("%s: %s", printable(dir), text)
	}
	return nil
}

type labelsCmd struct {
	Get labelsGetCmd `cmd:"" help:"List the labels of tuboids."`
	Put labelsPutCmd `cmd:"" help:"Say what insects tuboids show."`
}

type labelsGetCmd struct {
	Tuboids []string `arg:"" name:"tuboid" help:"Names of tuboids, or - for one a line on standard input."`
	outputFlags
}

func (c labelsGetCmd) Run(ctx context.Context, a *app) error {
	ids := c.Tuboids
	if len(ids) == 1 && ids[0] == "-" {
		text, err := a.readInput("-")
		if err != nil {
			return err
		}
		ids = nil
		for _, line := range bytes.Fields(text) {
			ids = append(ids, string(line))
		}
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	return show(a, c.outputFlags, client.GetLabels(ctx, ids...),
		column[spi.Label]{"TUBOID NO", func(l spi.Label) string { return strconv.FormatInt(l.ParentTuboidID, 10) }},
		column[spi.Label]{"LABEL", func(l spi.Label) string { return strconv.Itoa(l.Label) }},
		column[spi.Label]{"TYPE", func(l spi.Label) string { return l.Type }},
		column[spi.Label]{"ORDER", func(l spi.Label) string { return orDash(l.Order, plain) }},
		column[spi.Label]{"FAMILY", func(l spi.Label) string { return orDash(l.Family, plain) }},
		column[spi.Label]{"GENUS", func(l spi.Label) string { return orDash(l.Genus, plain) }},
		column[spi.Label]{"SPECIES", func(l spi.Label) string { return orDash(l.Species, plain) }},
		column[spi.Label]{"ALGORITHM", func(l spi.Label) string { return l.AlgoName + " " + l.AlgoVersion }},
	)
}

type labelsPutCmd struct {
	Files []string `arg:"" name:"file" help:"Labels as JSON objects (tuboid_id, algo_name, algo_version, label, pattern, type; order, family, genus, species) or a list of them. -: standard input."`
}

func (c labelsPutCmd) Run(ctx context.Context, a *app) error {
	files, err := inputs[spi.NewLabel](a, c.Files)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	return send(ctx, a, "label", files, func(labels []spi.NewLabel) ([]spi.Label, error) {
		return client.PutLabels(ctx, labels...)
	})
}

type backlogCmd struct {
	Algorithms []string `arg:"" optional:"" name:"algorithm" help:"Which algorithms; without one: all."`
	outputFlags
	zoneFlag
}

func (c backlogCmd) Run(ctx context.Context, a *app) error {
	client, zone, err := c.open(a)
	if err != nil {
		return err
	}
	all, err := client.GetBacklog(ctx, c.Algorithms...)
	if err != nil {
		return err
	}
	count := func(n int64) string { return strconv.FormatInt(n, 10) }
	return show(a, c.outputFlags, each(all),
		column[spi.Backlog]{"ALGORITHM", func(b spi.Backlog) string { return b.AlgoName }},
		column[spi.Backlog]{"VERSION", func(b spi.Backlog) string { return b.AlgoVersion }},
		column[spi.Backlog]{"WAITING", func(b spi.Backlog) string {
			if b.AtLeast {
				return "at least " + count(b.Waiting)
			}
			return count(b.Waiting)
		}},
		column[spi.Backlog]{"IN WORK", func(b spi.Backlog) string { return count(b.Leased) }},
		column[spi.Backlog]{"FAILED", func(b spi.Backlog) string { return count(b.Failed) }},
		column[spi.Backlog]{"OLDEST WAITING (" + zone.String() + ")", func(b spi.Backlog) string { return shown(b.OldestWaiting, zone) }},
	)
}

type failuresCmd struct {
	rangeFlags
	outputFlags
	Algorithm string `placeholder:"NAME" help:"Of this algorithm alone."`
	Retry     bool   `help:"Let detectors try these images again, and list them."`
}

func (c failuresCmd) Run(ctx context.Context, a *app) error {
	client, series, zone, err := c.open(a)
	if err != nil {
		return err
	}
	of := make([]spi.FailureSeries, len(series))
	for i, s := range series {
		of[i] = spi.FailureSeries{Series: s, AlgoName: c.Algorithm}
	}
	ask := client.GetFailures
	if c.Retry {
		ask = client.RetryFailures
	}
	all, err := ask(ctx, of...)
	if err != nil {
		return err
	}
	return showFound(a, c.outputFlags, "failed images", series, each(all),
		column[spi.Failure]{"IMAGE", func(f spi.Failure) string { return f.Device + "." + spi.FormatDatetime(f.Datetime.Time, spi.DateV1) }},
		column[spi.Failure]{"ALGORITHM", func(f spi.Failure) string { return f.AlgoName }},
		column[spi.Failure]{"TIMES", func(f spi.Failure) string { return strconv.Itoa(f.Failures) }},
		column[spi.Failure]{"LAST (" + zone.String() + ")", func(f spi.Failure) string { return shown(f.DatetimeLast, zone) }},
		column[spi.Failure]{"REASON", func(f spi.Failure) string { return f.Reason }},
	)
}
