package spi

import "encoding/json"

// AnnotationDocument is what a detector found on one image, as put_uid_annotations takes it. The server keeps it to the byte
// as it was sent.
type AnnotationDocument struct {
	Annotations []Outline          `json:"annotations"`
	Metadata    AnnotationMetadata `json:"metadata"`
}

// Outline is one object on an image.
type Outline struct {
	Contour      Contour `json:"contour"`
	Name         string  `json:"name"`
	Value        float64 `json:"value"`
	StrokeColour string  `json:"stroke_colour"` // #rrggbb
	FillColour   string  `json:"fill_colour"`   // #rrggbb
}

// Contour is the vertices of an outline as OpenCV gives them: N x 1 x 2, x and y in pixels of the original.
type Contour [][1][2]int

// AnnotationMetadata names the image that was annotated, and by what.
type AnnotationMetadata struct {
	AlgoName    string   `json:"algo_name"`
	AlgoVersion string   `json:"algo_version"` // TIMESTAMP-MD5
	Device      string   `json:"device"`
	Datetime    Datetime `json:"datetime"`
	MD5         string   `json:"md5"` // of the image
}

// Annotation is a row of what detectors found.
type Annotation struct {
	ID              int64    `json:"id"`
	ParentImageID   int64    `json:"parent_image_id"`
	AlgoName        string   `json:"algo_name"`
	AlgoVersion     string   `json:"algo_version"`
	NObjects        int      `json:"n_objects"`
	JSON            string   `json:"json"` // the document as it was sent; empty where it was not asked for
	DatetimeCreated Datetime `json:"datetime_created"`
	APIVersion      *string  `json:"api_version"`
	APIUser         *string  `json:"api_user"`
}

// Document reads the row's document. CodeInvalid where it has none, or one of another form.
func (a Annotation) Document() (AnnotationDocument, error) {
	var d AnnotationDocument
	if err := json.Unmarshal([]byte(a.JSON), &d); err != nil {
		return AnnotationDocument{}, Wrap(CodeInvalid, err, "annotation %d holds no document that can be read", a.ID)
	}
	return d, nil
}

// AnnotationPart says whether annotations come with their documents.
type AnnotationPart string

// The parts.
const (
	AnnotationRows      AnnotationPart = "metadata" // without the documents
	AnnotationDocuments AnnotationPart = "data"
)

// WorkRequest asks for images to annotate: those inside the series without an annotation of the algorithm at that version or
// a later one.
type WorkRequest struct {
	Series
	AlgoName    string `json:"algo_name"`
	AlgoVersion string `json:"algo_version"`    // TIMESTAMP-MD5
	Limit       int    `json:"limit,omitempty"` // at most, and where it is 0: 64
}

// FailureReport tells that an image could not be annotated.
type FailureReport struct {
	ImageKey
	AlgoName    string `json:"algo_name"`
	AlgoVersion string `json:"algo_version"`
	Reason      string `json:"reason"` // for people; 500 characters are kept
	// GivenBack says that the worker stops and has not tried: the lease ends, and no failure is counted.
	GivenBack bool `json:"given_back,omitempty"`
}

// FailureSeries names failures: of the images inside the series, by the algorithm or, where AlgoName is empty, by any.
type FailureSeries struct {
	Series
	AlgoName string `json:"algo_name,omitempty"`
}

// Failure is an image that could not be annotated.
type Failure struct {
	ImageKey
	AlgoName     string   `json:"algo_name"`
	AlgoVersion  string   `json:"algo_version"` // of the last attempt
	Failures     int      `json:"failures"`     // 0: the image has nothing to do for that algorithm
	Reason       string   `json:"reason"`       // of the last one
	DatetimeLast Datetime `json:"datetime_last"`
	APIUser      *string  `json:"api_user"`
}

// Backlog is what one algorithm has to do, in images.
type Backlog struct {
	AlgoName      string   `json:"algo_name"`
	AlgoVersion   string   `json:"algo_version"` // the newest that asked for work
	AtLeast       bool     `json:"at_least"`     // more may wait: not all images of the version are counted yet
	Waiting       int64    `json:"waiting"`
	Leased        int64    `json:"leased"`
	Failed        int64    `json:"failed"`
	OldestWaiting Datetime `json:"datetime_oldest_waiting"` // zero: none waits
}
