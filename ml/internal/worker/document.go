package worker

import (
	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// How the outlines are named and drawn: as the old stack's detector did, since programs of its users look for it.
const (
	insectName   = "insect"
	strokeColour = "#0000ff"
	fillColour   = "#ff0000"
)

// Document is what put_uid_annotations takes of a photograph.
func Document(photo spi.Image, version string, insects []detect.Insect) spi.AnnotationDocument {
	d := spi.AnnotationDocument{
		Annotations: make([]spi.Outline, len(insects)), // an empty list where there are none
		Metadata: spi.AnnotationMetadata{
			AlgoName: AlgoName, AlgoVersion: version, Device: photo.Device, Datetime: photo.Datetime, MD5: photo.MD5,
		},
	}
	for i, insect := range insects {
		contour := make(spi.Contour, len(insect.Outline))
		for k, p := range insect.Outline {
			contour[k][0] = [2]int{p.X, p.Y}
		}
		d.Annotations[i] = spi.Outline{Contour: contour, Name: insectName, StrokeColour: strokeColour, FillColour: fillColour}
	}
	return d
}
