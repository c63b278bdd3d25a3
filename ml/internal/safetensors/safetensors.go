// Package safetensors reads tensors from the safetensors format: the length of a header (8 bytes, little-endian), the header
// (JSON: tensor -> dtype, shape, data_offsets; `__metadata__`, a map of strings), then the tensors' bytes, little-endian, the
// last index running fastest. See https://github.com/huggingface/safetensors#format. It takes bytes from anywhere: whatever
// it allocates is bounded by their number. It imports nothing of this project.
package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

const (
	// MaxHeader is the greatest length of a header in bytes; a network has tens of tensors, with 100 bytes each.
	MaxHeader = 1 << 20
	maxDims   = 8
	metadata  = "__metadata__"
)

// File is what a file holds.
type File struct {
	Metadata map[string]string
	Tensors  map[string]Tensor
}

// Tensor is an array of numbers.
type Tensor struct {
	Shape []int
	Data  []float32 // as many as the product of Shape
}

type entry struct {
	DType   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// Parse reads a whole file. Tensors are float16 (F16) or float32 (F32); any other type is an error.
func Parse(data []byte) (*File, error) {
	if len(data) < 8 {
		return nil, errors.New("safetensors: shorter than the 8 bytes of the header's length")
	}
	n := binary.LittleEndian.Uint64(data)
	if n > MaxHeader || n > uint64(len(data)-8) {
		return nil, fmt.Errorf("safetensors: a header of %d bytes in a file of %d bytes (at most %d)", n, len(data), MaxHeader)
	}
	header, body := data[8:8+n], data[8+n:]
	var raw map[string]json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(header))
	if err := dec.Decode(&raw); err != nil {
		return nil, fmt.Errorf("safetensors: header: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("safetensors: header: more than one JSON object")
	}
	f := &File{Metadata: map[string]string{}, Tensors: map[string]Tensor{}}
	var taken int64
	for name, message := range raw {
		if name == metadata {
			if err := json.Unmarshal(message, &f.Metadata); err != nil {
				return nil, fmt.Errorf("safetensors: %s: %w", metadata, err)
			}
			continue
		}
		var e entry
		if err := json.Unmarshal(message, &e); err != nil {
			return nil, fmt.Errorf("safetensors: tensor %q: %w", name, err)
		}
		// The bytes of tensors do not overlap in a proper file; were they allowed to, a small file could hold a great many.
		if taken += e.Offsets[1] - e.Offsets[0]; taken > int64(len(body)) {
			return nil, errors.New("safetensors: the tensors hold more bytes than the file")
		}
		t, err := e.read(body)
		if err != nil {
			return nil, fmt.Errorf("safetensors: tensor %q: %w", name, err)
		}
		f.Tensors[name] = t
	}
	return f, nil
}

func (e entry) read(body []byte) (Tensor, error) {
	start, end := e.Offsets[0], e.Offsets[1]
	if start < 0 || end < start || end > int64(len(body)) {
		return Tensor{}, fmt.Errorf("data_offsets [%d, %d] of %d bytes of data", start, end, len(body))
	}
	size := map[string]int{"F16": 2, "F32": 4}[e.DType]
	if size == 0 {
		return Tensor{}, fmt.Errorf("dtype %q is neither F16 nor F32", e.DType)
	}
	if len(e.Shape) > maxDims {
		return Tensor{}, fmt.Errorf("%d dimensions, more than %d", len(e.Shape), maxDims)
	}
	count := 1
	for _, d := range e.Shape {
		if d < 1 || d > len(body) || count > len(body) {
			return Tensor{}, fmt.Errorf("shape %v does not fit into %d bytes of data", e.Shape, len(body))
		}
		count *= d
	}
	if int64(count)*int64(size) != end-start {
		return Tensor{}, fmt.Errorf("shape %v of %s needs %d bytes, data_offsets name %d", e.Shape, e.DType, count*size, end-start)
	}
	t := Tensor{Shape: slices.Clone(e.Shape), Data: make([]float32, count)}
	b := body[start:end]
	for i := range t.Data {
		if size == 2 {
			t.Data[i] = half(binary.LittleEndian.Uint16(b[2*i:]))
		} else {
			t.Data[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	}
	return t, nil
}

// half turns IEEE 754 binary16 into float32; every value is exact.
func half(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exponent {
	case 0: // zero and subnormal: a multiple of 2^-24
		v := float32(fraction) / (1 << 24)
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}
