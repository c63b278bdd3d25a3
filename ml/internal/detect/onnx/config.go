package onnx

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect/outlines"
)

// Kinds of what a model gives.
const (
	fgCore    = "fg_core"   // two maps, as the builtin network's: insect, and middle of an insect
	semantic  = "semantic"  // a map: insect or not
	instances = "instances" // boxes, scores and masks, as Mask R-CNN's
)

// Config says how a model is fed, and how its answers are read. docs/DETECTOR.md describes its form in YAML.
type Config struct {
	Model       string         `yaml:"model"` // file name; empty: the bundle has one alone
	Input       Input          `yaml:"input"`
	Output      Output         `yaml:"output"`
	Postprocess map[string]any `yaml:"postprocess"` // as the builtin weights have it

	params outlines.Params
}

// Input says how a photograph is shown to the model.
type Input struct {
	Name     string    `yaml:"name"`     // of the model's input; empty: its first
	Scale    float64   `yaml:"scale"`    // the photograph's size times this; 1
	Order    string    `yaml:"order"`    // of the colours: rgb, bgr
	Range    float64   `yaml:"range"`    // of their values: 1 or 255, from 0
	Mean     []float64 `yaml:"mean"`     // subtracted, a number a colour
	Std      []float64 `yaml:"std"`      // divided by then
	Layout   string    `yaml:"layout"`   // nchw, nhwc, chw, hwc
	Multiple int       `yaml:"multiple"` // of which width and height are, by reflection at the right and lower edges; 1
	Margin   *int      `yaml:"margin"`   // pixels reflected at the left and upper edges
}

// Output says what the model gives.
type Output struct {
	Kind       string  `yaml:"kind"`       // fg_core, semantic, instances
	Name       string  `yaml:"name"`       // of the maps' output; empty: the first
	Channel    int     `yaml:"channel"`    // of the map that means insect
	Activation string  `yaml:"activation"` // that the model leaves to us: none, sigmoid, softmax
	Boxes      string  `yaml:"boxes"`      // names of the outputs of instances
	Scores     string  `yaml:"scores"`
	Masks      string  `yaml:"masks"`
	Threshold  float64 `yaml:"threshold"` // least score of an instance
}

// maxConfig bounds the file, in bytes.
const maxConfig = 64 << 10

// builtinMargin is what the builtin network was trained with.
const builtinMargin = 16

// ReadConfig reads the file.
func ReadConfig(path string) (Config, error) {
	in, err := os.Open(path) //nolint:gosec // the caller's
	if err != nil {
		return Config{}, err
	}
	defer func() { _ = in.Close() }()
	text, err := io.ReadAll(io.LimitReader(in, maxConfig+1))
	if err != nil {
		return Config{}, err
	}
	return ParseConfig(text)
}

// ParseConfig reads and checks a configuration; its errors name the field and the mend.
func ParseConfig(text []byte) (Config, error) {
	if len(text) > maxConfig {
		return Config{}, fmt.Errorf("is longer than %d bytes", maxConfig)
	}
	cfg := Config{
		Input: Input{Scale: 1, Order: "rgb", Range: 1, Layout: "nchw", Multiple: 1},
		Output: Output{
			Activation: "none", Boxes: "boxes", Scores: "scores", Masks: "masks", Threshold: 0.5,
		},
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&cfg); err != nil {
		return Config{}, fmt.Errorf("cannot be read as YAML of the form in docs/DETECTOR.md: %w", err)
	}
	if err := cfg.check(); err != nil {
		return Config{}, err
	}
	if cfg.Input.Margin == nil {
		margin := 0
		if cfg.Output.Kind == fgCore {
			margin = builtinMargin
		}
		cfg.Input.Margin = &margin
	}
	cfg.params = outlines.Defaults()
	if cfg.Postprocess != nil {
		postprocess, err := json.Marshal(cfg.Postprocess)
		if err != nil {
			return Config{}, fmt.Errorf("postprocess: %w", err)
		}
		if cfg.params, err = outlines.ParseParams(postprocess); err != nil {
			return Config{}, err
		}
	}
	return cfg, nil
}

var modelName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_. -]*\.onnx$`)

func (c *Config) check() error {
	one := func(field, value string, of ...string) error {
		if slices.Contains(of, value) {
			return nil
		}
		return fmt.Errorf("%s is %.40q: write %s", field, value, strings.Join(of, ", "))
	}
	return errors.Join(
		one("output.kind", c.Output.Kind, fgCore, semantic, instances),
		one("output.activation", c.Output.Activation, "none", "sigmoid", "softmax"),
		one("input.order", c.Input.Order, "rgb", "bgr"),
		one("input.layout", c.Input.Layout, "nchw", "nhwc", "chw", "hwc"),
		c.checkNumbers(),
	)
}

func (c *Config) checkNumbers() error {
	in, out := &c.Input, &c.Output
	switch {
	case c.Model != "" && !modelName.MatchString(c.Model):
		return fmt.Errorf("model is %.40q: write the name of a file in the bundle's folder output, such as model.onnx", c.Model)
	case !(in.Scale >= 1.0/16 && in.Scale <= 1): // so that NaN is caught
		return fmt.Errorf("input.scale is %v: write a number from 0.0625 to 1", in.Scale)
	case in.Range != 1 && in.Range != 255:
		return fmt.Errorf("input.range is %v: write 1 or 255", in.Range)
	case in.Multiple < 1 || in.Multiple > 1024:
		return fmt.Errorf("input.multiple is %d: write a number from 1 to 1024", in.Multiple)
	case in.Margin != nil && (*in.Margin < 0 || *in.Margin > 256):
		return fmt.Errorf("input.margin is %d: write a number from 0 to 256", *in.Margin)
	case len(in.Mean) != 0 && len(in.Mean) != colours, len(in.Std) != 0 && len(in.Std) != colours:
		return errors.New("input.mean and input.std take a number for each of the three colours, in the order of input.order")
	case slices.ContainsFunc(in.Std, func(v float64) bool { return !(v > 0) }):
		return errors.New("input.std holds a number that is not above 0")
	case out.Channel < 0 || out.Channel > 1000:
		return fmt.Errorf("output.channel is %d: write the number of the map that means insect, from 0", out.Channel)
	case !(out.Threshold >= 0 && out.Threshold <= 1):
		return fmt.Errorf("output.threshold is %v: write a number from 0 to 1", out.Threshold)
	}
	return nil
}
