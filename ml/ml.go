// Package ml is the detector worker, the Universal Insect Detector: it finds the insects on photographs and sends their
// outlines to the API. New and Run are all that other modules may use of it.
package ml
