package main

import (
	"context"
	"crypto/md5" //nolint:gosec // the protocol's checksum, not a signature
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/sticky-pi/sticky-pi-server/ml"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/bundle"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect/builtin"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/models"
	"github.com/sticky-pi/sticky-pi-server/services/kit/config"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

type bundleCmd struct {
	Show struct {
		Dir string `help:"Folder for the copy of the bundle; a temporary one where it is not given."`
	} `cmd:"" default:"1" help:"Sync the bundle's model and say which detector it gives; exit 1 where it cannot be used."`
	Push struct {
		Dir string `arg:"" help:"Folder laid out as the bundle: config/config.yaml, output/..." type:"existingdir"`
	} `cmd:"" help:"Try the model in a folder and push it to the server; workers take it within minutes."`
}

func (c *bundleCmd) Run(ctx context.Context, k *kong.Context) error {
	src := config.Load()
	cfg := ml.APIFrom(src)
	if err := src.Err(); err != nil {
		return err
	}
	if k.Selected().Name == "push" {
		return push(ctx, cfg, c.Push.Dir)
	}
	return show(ctx, cfg, c.Show.Dir)
}

// show says what a worker would use.
func show(ctx context.Context, cfg ml.Config, dir string) error {
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "spi-uid-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	client, h, err := ml.Client(cfg)
	if err != nil {
		return err
	}
	folder := &bundle.Folder{API: client, HTTP: h, Dir: dir}
	model, err := folder.Sync(ctx)
	if err != nil {
		return err
	}
	if err := folder.Keep(model); err != nil {
		return err
	}
	for _, f := range model.Files {
		fmt.Printf("%s  %s  %s\n", f.MD5, spi.FormatDatetime(f.MTime, spi.DateV2), f.Key)
	}
	own, err := builtin.New()
	if err != nil {
		return err
	}
	d, problem := models.Choose(ctx, model, own)
	what := d.Name()
	if len(model.Files) == 0 {
		what += " (the bundle has no model)"
	}
	fmt.Printf("detector: %s, algo_version %s\n", what, d.Version())
	if problem != nil {
		return fmt.Errorf("the bundle's model cannot be used: %w", problem)
	}
	return nil
}

// push tries a model before it is pushed.
func push(ctx context.Context, cfg ml.Config, dir string) error {
	m, err := modelIn(dir)
	if err != nil {
		return err
	}
	if _, err := usable(ctx, m); err != nil {
		return err
	}
	client, _, err := ml.Client(cfg)
	if err != nil {
		return err
	}
	keys, err := client.PushBundle(ctx, bundle.Name, dir, nil)
	for _, key := range keys {
		fmt.Println("pushed", key)
	}
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		fmt.Println("the server has all of it already")
	}
	return nil
}

// modelIn finds the model in a folder that is laid out as the bundle.
func modelIn(dir string) (bundle.Model, error) {
	m := bundle.Model{Dir: dir}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		key := filepath.ToSlash(rel)
		if !bundle.Wanted(key) {
			return nil
		}
		text, err := os.ReadFile(path) //nolint:gosec // the user names the folder
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		sum := md5.Sum(text) //nolint:gosec // see the import
		m.Files = append(m.Files, bundle.File{Key: key, MD5: hex.EncodeToString(sum[:]), MTime: info.ModTime()})
		return nil
	})
	slices.SortFunc(m.Files, func(a, b bundle.File) int { return strings.Compare(a.Key, b.Key) })
	return m, err
}

// usable opens a model.
func usable(ctx context.Context, m bundle.Model) (detect.Detector, error) {
	own, err := builtin.New()
	if err != nil {
		return nil, err
	}
	d, problem := models.Choose(ctx, m, own)
	switch {
	case problem != nil:
		return nil, fmt.Errorf("%s: the model cannot be used: %w", m.Dir, problem)
	case d == detect.Detector(own):
		return nil, errors.New(m.Dir + ": there is no model in it that is newer than the builtin one: it must hold output/NAME.onnx and config/config.yaml, or " + bundle.WeightsKey)
	}
	return d, nil
}
