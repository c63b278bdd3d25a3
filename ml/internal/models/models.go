// Package models chooses the detector: the one that the bundle on the server holds, if it can be used, else the builtin one.
// It may import bundle, the packages below detect, and services/spi.
package models

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sticky-pi/sticky-pi-server/ml/internal/bundle"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect/builtin"
	"github.com/sticky-pi/sticky-pi-server/ml/internal/detect/onnx"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// kinds are the detectors that a bundle may hold, the first that it has files of goes before the others.
var kinds = []struct {
	name string
	has  func(bundle.Model) bool
	open func(ctx context.Context, m bundle.Model, builtin detect.Detector) (detect.Detector, error)
}{
	{"onnx", func(m bundle.Model) bool { return len(m.ONNX()) > 0 }, openONNX},
	{"weights", func(m bundle.Model) bool { _, ok := m.File(bundle.WeightsKey); return ok }, openWeights},
}

// maxWeights bounds the file of weights, in bytes: the network with the widest layers that it may have takes 60 MB.
const maxWeights = 64 << 20

// Config is what Models need.
type Config struct {
	Folder  *bundle.Folder // nil: the builtin detector alone
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: none
}

// Models gives the detector to use. It is not safe for concurrent use.
type Models struct {
	folder   *bundle.Folder
	log      *slog.Logger
	builtin  detect.Detector
	current  detect.Detector
	chosen   bundle.Model // that current was chosen for
	problem  error        // with that model
	refused  error        // what is wrong with the bundle as a whole, at the last look that found it
	unusable prometheus.Gauge
	failed   prometheus.Counter
}

// New loads the builtin detector.
func New(cfg Config) (*Models, error) {
	d, err := builtin.New()
	if err != nil {
		return nil, fmt.Errorf("the builtin detector: %w", err)
	}
	m := &Models{
		folder: cfg.Folder, log: cfg.Log, builtin: d,
		unusable: prometheus.NewGauge(prometheus.GaugeOpts{Name: "uid_bundle_unusable", Help: "1 where the bundle's model cannot be used and the builtin one is instead."}),
		failed:   prometheus.NewCounter(prometheus.CounterOpts{Name: "uid_bundle_sync_failures_total", Help: "Failures to look for, or to download, a newer model."}),
	}
	if cfg.Metrics != nil {
		cfg.Metrics.MustRegister(m.unusable, m.failed)
	}
	return m, nil
}

// Refresh looks for a newer model on the server and gives the detector to use from now on. While none can be had, whatever the
// reason, it is the one of before, or, after a start, that of the model that was synced last. Where none ever was, it depends: of a
// bundle that nobody can use there is nothing to wait for, and the builtin one goes on. Else there is none to use yet, and the error
// says what is waited for: the builtin one may be newer than the bundle's model, and the server would let all images be annotated
// again as soon as it heard of it.
func (m *Models) Refresh(ctx context.Context) (detect.Detector, error) {
	if m.folder == nil {
		return m.builtin, nil
	}
	model, err := m.folder.Sync(ctx)
	if err == nil {
		m.refused = nil
		if err := m.folder.Keep(model); err != nil {
			m.log.WarnContext(ctx, "the model that the server has is used, but not noted: after a start without the server it will be waited for", "error", err)
		}
	} else if model, err = m.without(ctx, err); err != nil {
		return nil, err
	}
	if err := m.use(ctx, model); err != nil {
		return nil, err
	}
	m.unusable.Set(0)
	if m.Problem() != nil {
		m.unusable.Set(1)
	}
	return m.current, nil
}

// without gives the model to go on with where none could be synced, or the error where that is to be waited for.
func (m *Models) without(ctx context.Context, err error) (bundle.Model, error) {
	if ctx.Err() == nil {
		m.failed.Inc()
	}
	unusable := errors.Is(err, bundle.ErrUnusable)
	if unusable && (m.refused == nil || m.refused.Error() != err.Error()) {
		m.refused = err
		m.log.ErrorContext(ctx, "the bundle cannot be used; going on with the model of before, or else the builtin detector", "error", err)
	}
	model := m.chosen
	if m.current == nil {
		last, lastErr := m.folder.Last() // it reads the whole copy
		if lastErr != nil && !errors.Is(lastErr, bundle.ErrNeverSynced) {
			m.log.WarnContext(ctx, "the model that was synced last cannot be used", "error", lastErr)
		}
		if lastErr != nil && !unusable {
			return bundle.Model{}, err
		}
		model = last
	}
	if !unusable && ctx.Err() == nil {
		m.log.WarnContext(ctx, "no newer model could be looked for; the last one goes on", "error", err)
	}
	return model, nil
}

// use chooses the detector for a model, where it is not that of before. Where it is told to stop, it leaves the one of before; its
// error says that there is none.
func (m *Models) use(ctx context.Context, model bundle.Model) error {
	if m.current != nil && m.chosen.Dir == model.Dir {
		return nil
	}
	chosen, problem := Choose(ctx, model, m.builtin)
	if problem != nil && ctx.Err() != nil { // during the trial, which says nothing about the model
		if m.current == nil {
			return ctx.Err()
		}
		return nil
	}
	m.current, m.problem, m.chosen = chosen, problem, model
	if problem != nil {
		m.log.ErrorContext(ctx, "the bundle's model cannot be used; going on with another", "detector", m.current.Name(), "error", problem)
	}
	return nil
}

// Problem says why the bundle's model is not in use; nil where it is, or where there is none.
func (m *Models) Problem() error { return errors.Join(m.refused, m.problem) }

// Choose gives the detector for a bundle's model, and what is wrong with those that go before it.
func Choose(ctx context.Context, m bundle.Model, builtin detect.Detector) (detect.Detector, error) {
	var problems []error
	for _, kind := range kinds {
		if !kind.has(m) {
			continue
		}
		d, err := try(func() (detect.Detector, error) { return kind.open(ctx, m, builtin) })
		if err == nil {
			return d, errors.Join(problems...)
		}
		problems = append(problems, fmt.Errorf("%s: %w", kind.name, err))
	}
	return builtin, errors.Join(problems...)
}

// try turns a panic over a foreign file into an error.
func try(open func() (detect.Detector, error)) (d detect.Detector, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v", p)
		}
	}()
	return open()
}

// openONNX opens the bundle's model for onnxruntime. The version's time is when the newer of the model and its configuration
// was pushed, so that a change of either makes older annotations obsolete.
func openONNX(ctx context.Context, m bundle.Model, _ detect.Detector) (detect.Detector, error) {
	config, ok := m.File(bundle.ConfigKey)
	if !ok {
		return nil, fmt.Errorf("the bundle lacks %s, which says how to use the model", bundle.ConfigKey)
	}
	cfg, err := onnx.ReadConfig(m.Path(config.Key))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.Key, err)
	}
	keys := m.ONNX()
	key := keys[0]
	if cfg.Model != "" {
		key = "output/" + cfg.Model
	} else if len(keys) > 1 {
		return nil, fmt.Errorf("the bundle has %d models: name one in %s, as model: NAME.onnx", len(keys), config.Key)
	}
	model, ok := m.File(key)
	if !ok {
		return nil, fmt.Errorf("%s names the model %s, which the bundle does not have", config.Key, key)
	}
	pushed := model.MTime
	if config.MTime.After(pushed) {
		pushed = config.MTime
	}
	return onnx.Open(ctx, m.Path(key), cfg, fmt.Sprintf("%d-%s", pushed.Unix(), model.MD5))
}

// openWeights opens other weights of the builtin detector's network, or gives the builtin ones where those are as new.
func openWeights(ctx context.Context, m bundle.Model, own detect.Detector) (detect.Detector, error) {
	info, err := os.Stat(m.Path(bundle.WeightsKey))
	if err != nil {
		return nil, err
	}
	if info.Size() > maxWeights {
		return nil, fmt.Errorf("%s has %d bytes, and %d are the most", bundle.WeightsKey, info.Size(), maxWeights)
	}
	weights, err := os.ReadFile(m.Path(bundle.WeightsKey))
	if err != nil {
		return nil, err
	}
	d, err := builtin.Open(ctx, weights)
	if err != nil {
		return nil, err
	}
	// a version's time is that of the training
	if spi.VersionTime(d.Version()) <= spi.VersionTime(own.Version()) {
		return own, nil
	}
	return d, nil
}
