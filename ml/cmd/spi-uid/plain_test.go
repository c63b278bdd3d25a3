package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/svg"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
)

func TestPlainGivesDrawingsTheFormThatTheTrainingReads(t *testing.T) {
	photo := spitest.JPEG(spitest.Photo{Width: 320, Height: 240})
	drawing := `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 480">
		<image width="640" height="480" href="data:image/jpeg;base64,` + base64.StdEncoding.EncodeToString(photo) + `"/>
		<g transform="translate(20,40)"><path d="m 10,10 h 20 v 20.5 z"/></g><path d="M100,100 C 100,100 140,100 140,100 L140,150z"/>
		<ellipse rx="3" ry="4"/></svg>`
	dir, out := t.TempDir(), t.TempDir()
	good, bad := filepath.Join(dir, "good.svg"), filepath.Join(dir, "bad.svg")
	for path, text := range map[string]string{good: drawing, bad: "<svg/>"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := plainCmd{Files: []string{bad, good}, Out: out}
	if err := cmd.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "1 of 2") {
		t.Errorf("error %v", err)
	}
	text, err := os.ReadFile(filepath.Join(out, "good.svg"))
	if err != nil {
		t.Fatal(err)
	}
	_, paths, _ := strings.Cut(string(text), "<path")
	if strings.Contains(paths, "transform") || strings.Contains(paths, "C") || !strings.Contains(paths, `d="M 15,25 25,25 25,35.25 Z"`) {
		t.Errorf("not plain: %s", paths)
	}
	want, err := svg.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	got, err := svg.ReadFile(filepath.Join(out, "good.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Outlines, got.Outlines, cmpopts.EquateApprox(0, 0.00501)); diff != "" || got.Ignored != 0 || want.Ignored != 1 {
		t.Errorf("%d and %d shapes that do not count, %s", want.Ignored, got.Ignored, diff)
	}
	if err := (plainCmd{Files: []string{good}, Out: out}).Run(t.Context()); err == nil {
		t.Error("a file that is there was replaced")
	}
}
