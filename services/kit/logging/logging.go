// Package logging sets up slog as every service uses it, and carries attributes such as the request's id and user through
// a context into every line that is logged under it.
package logging

import (
	"context"
	"io"
	"log/slog"
	"slices"
)

// Options say how to log.
type Options struct {
	Debug bool // also lines of level debug
	Quiet bool // warnings and errors alone; Debug goes before it
	JSON  bool // for machines; otherwise key=value text for people
}

// New gives a logger that writes to w.
func New(w io.Writer, o Options) *slog.Logger {
	level := slog.LevelInfo
	switch {
	case o.Debug:
		level = slog.LevelDebug
	case o.Quiet:
		level = slog.LevelWarn
	}
	ho := &slog.HandlerOptions{Level: level}
	if o.JSON {
		return slog.New(handler{slog.NewJSONHandler(w, ho)})
	}
	return slog.New(handler{slog.NewTextHandler(w, ho)})
}

type attrsKey struct{}

// With gives a context under which every line carries the attributes too.
func With(ctx context.Context, attrs ...slog.Attr) context.Context {
	old, _ := ctx.Value(attrsKey{}).([]slog.Attr)
	return context.WithValue(ctx, attrsKey{}, append(slices.Clip(old), attrs...))
}

// handler adds the context's attributes to each record.
type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	if attrs, ok := ctx.Value(attrsKey{}).([]slog.Attr); ok {
		r = r.Clone()
		r.AddAttrs(attrs...)
	}
	return h.Handler.Handle(ctx, r)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}
func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }
