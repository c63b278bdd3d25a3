package server

import (
	"context"
	"errors"
	"log/slog"
)

// ForgetVersion forgets the newest version of a detector's algorithm that asked for work, so that images count by whatever version
// asks next, and gives it; "" where it was forgotten already. Servers may run meanwhile; the database must be up to date.
// CodeNotFound where no such detector ever asked for work.
func ForgetVersion(ctx context.Context, cfg Config, algoName string, log *slog.Logger) (version string, err error) {
	db, err := openDatabase(cfg, log)
	if err != nil {
		return "", err
	}
	version, err = db.ForgetVersion(ctx, algoName)
	return version, errors.Join(err, db.Close())
}
