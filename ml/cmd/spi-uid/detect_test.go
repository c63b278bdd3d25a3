package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect/builtin"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/svg"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
)

func TestDetectWritesAnSVGThatCanBeReadAndReplacesNone(t *testing.T) {
	dir := t.TempDir()
	photo := spitest.JPEG(spitest.Photo{Width: 320, Height: 240})
	path := filepath.Join(dir, "5c173ff2.2020-06-20_21-33-24.jpg")
	if err := os.WriteFile(path, photo, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := detectCmd{Files: []string{path}, SVG: true}
	if err := cmd.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(strings.TrimSuffix(path, "jpg") + "svg")
	if err != nil {
		t.Fatal(err)
	}
	annotated, err := svg.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(annotated.JPEG, photo) || annotated.Size.X != 320 {
		t.Errorf("%d bytes of %v", len(annotated.JPEG), annotated.Size)
	}
	if err := cmd.Run(t.Context()); err == nil {
		t.Error("an SVG that is there was replaced")
	}
}

func TestDetectGoesOnAfterAFileThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.jpg")
	if err := os.WriteFile(good, spitest.JPEG(spitest.Photo{Width: 64, Height: 48}), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := detectCmd{Files: []string{filepath.Join(dir, "none.jpg"), good}, SVG: true}
	if err := cmd.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "1 of 2") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "good.svg")); err != nil {
		t.Error(err)
	}
}

func TestADetectorCanBeNamed(t *testing.T) {
	own, err := builtin.New()
	if err != nil {
		t.Fatal(err)
	}
	tiny := filepath.Join("..", "..", "internal", "detect", "onnx", "testdata", "tiny", "weights.safetensors")
	d, err := model{Weights: tiny}.open(t.Context())
	if err != nil || d.Version() == own.Version() {
		t.Errorf("%v, %v", d, err)
	}
	if _, err := (model{Bundle: t.TempDir()}).open(t.Context()); err == nil || !strings.Contains(err.Error(), "no model") {
		t.Errorf("a folder without a model: %v", err)
	}
}

func TestAFilesNameTellsDeviceAndTime(t *testing.T) {
	for name, at := range map[string]time.Time{
		"/a/5c173ff2.2020-06-20_21-33-24.jpg": time.Date(2020, 6, 20, 21, 33, 24, 0, time.UTC), "5c173ff2.jpg": {}, "5c173ff2": {},
	} {
		if device, got := keyOf(name); device != "5c173ff2" || !got.Equal(at) {
			t.Errorf("%s: %s %v", name, device, got)
		}
	}
}
