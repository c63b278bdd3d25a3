package safetensors_test

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/safetensors"
)

func file(header string, data ...byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

func TestTensorsAndMetadataAreRead(t *testing.T) {
	// 1, -2, 0.333..., 65504 (the greatest), 2^-24 (the least), -0 as binary16; numpy.float16 gives these bytes
	halves := []byte{0x00, 0x3c, 0x00, 0xc0, 0x55, 0x35, 0xff, 0x7b, 0x01, 0x00, 0x00, 0x80}
	single := binary.LittleEndian.AppendUint32(nil, math.Float32bits(0.1))
	got, err := safetensors.Parse(file(`{"__metadata__":{"format":"x/1"},
		"a":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]},"b":{"dtype":"F32","shape":[],"data_offsets":[12,16]}}  `,
		append(halves, single...)...))
	if err != nil {
		t.Fatal(err)
	}
	want := &safetensors.File{
		Metadata: map[string]string{"format": "x/1"},
		Tensors: map[string]safetensors.Tensor{
			"a": {Shape: []int{2, 3}, Data: []float32{1, -2, 0.33325195, 65504, 5.9604645e-08, float32(math.Copysign(0, -1))}},
			"b": {Shape: []int{}, Data: []float32{0.1}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !math.Signbit(float64(got.Tensors["a"].Data[5])) {
		t.Error("minus zero lost its sign")
	}
}

func TestInfinityAndNaNOfHalvesStayWhatTheyAre(t *testing.T) {
	got, err := safetensors.Parse(file(`{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}`, 0x00, 0xfc, 0x01, 0x7e))
	if err != nil {
		t.Fatal(err)
	}
	d := got.Tensors["a"].Data
	if !math.IsInf(float64(d[0]), -1) || !math.IsNaN(float64(d[1])) {
		t.Errorf("got %v, want -Inf and NaN", d)
	}
}

func TestBadFilesAreRefusedWithTheReason(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":                     {nil, "shorter"},
		"header longer than file":   {binary.LittleEndian.AppendUint64(nil, 9), "a header of 9 bytes"},
		"header beyond the limit":   {append(binary.LittleEndian.AppendUint64(nil, 1<<63), 0), "at most"},
		"no JSON":                   {file(`{`), "header"},
		"two objects":               {file(`{}{}`), "more than one"},
		"metadata of numbers":       {file(`{"__metadata__":{"a":1}}`), "__metadata__"},
		"unknown type":              {file(`{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}`, 0), `"I8"`},
		"offsets outside":           {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 0), "more bytes than the file"},
		"offsets reversed":          {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 0, 0, 0, 0), "data_offsets [4, 0]"},
		"negative offset":           {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}`, 0, 0, 0, 0), "data_offsets [-4, 0]"},
		"shape of another size":     {file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 0, 0, 0, 0), "needs 8 bytes"},
		"empty dimension":           {file(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`), "shape [0]"},
		"product beyond an integer": {file(`{"a":{"dtype":"F32","shape":[4,4,4,4,4,4,4,4],"data_offsets":[0,4]}}`, 0, 0, 0, 0), "does not fit"},
		"many dimensions":           {file(`{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}`, 0, 0, 0, 0), "9 dimensions"},
		"tensors that overlap": {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`,
			0, 0, 0, 0), "more bytes than the file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := safetensors.Parse(c.data)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(file(`{"__metadata__":{"format":"x/1"},"a":{"dtype":"F16","shape":[2,1],"data_offsets":[0,4]}}`, 1, 2, 3, 4))
	f.Add(file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := safetensors.Parse(data)
		if err != nil {
			return
		}
		total := 0
		for name, tensor := range got.Tensors {
			product := 1
			for _, d := range tensor.Shape {
				product *= d
			}
			if product != len(tensor.Data) {
				t.Errorf("%q: shape %v with %d numbers", name, tensor.Shape, len(tensor.Data))
			}
			total += len(tensor.Data)
		}
		if 2*total > len(data) {
			t.Errorf("%d numbers out of %d bytes", total, len(data))
		}
	})
}
