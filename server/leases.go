package server

import (
	"context"
	"errors"
	"log/slog"
)

// EndLeases lets every image that is leased wait again: in a database that was restored from a backup nobody works on them. The
// database must be up to date. An image that is worked on all the same costs that work: the first annotations that come count.
func EndLeases(ctx context.Context, cfg Config, log *slog.Logger) error {
	db, err := openDatabase(cfg, log)
	if err != nil {
		return err
	}
	return errors.Join(db.EndLeases(ctx), db.Close())
}
