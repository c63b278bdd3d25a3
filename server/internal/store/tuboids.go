package store

import (
	"context"
	"database/sql"
	"time"
)

// TuboidSeries is one run of the matcher over a device's images. (Device, start, end, algorithm) is unique.
type TuboidSeries struct {
	ID                         int64
	Device                     string
	StartDatetime, EndDatetime time.Time
	AlgoName, AlgoVersion      string
	NTuboids, NImages          int
	Provenance
}

// Tuboid is a tracked insect.
type Tuboid struct {
	ID                         int64
	ParentSeriesID             int64
	TuboidID                   string // DEVICE.START.END.ALGOVERSION.NNNN; unique
	IDInSeries                 int    // NNNN
	StartDatetime, EndDatetime time.Time
	NShots                     int
	Provenance
	Series TuboidSeries // its series' row
}

// Label says what insect a tuboid shows. (ParentTuboidID, AlgoName, AlgoVersion) is unique.
type Label struct {
	ID                            int64
	ParentTuboidID                int64
	AlgoName, AlgoVersion         string
	Label                         int
	Pattern, Type                 string
	Order, Family, Genus, Species sql.Null[string]
	Provenance
}

// NewLabel is a label to store, with its tuboid's name.
type NewLabel struct {
	TuboidID string
	Label
}

// Tuboids keeps tracked insects and their labels.
type Tuboids interface {
	// ClaimTuboid gives the caller the sole right to store that tuboid, as [Store.ClaimImage] does for images. CodeConflict
	// where its row is there already, and where the series has as many tuboids as it says.
	ClaimTuboid(ctx context.Context, t *Tuboid) (TuboidClaim, error)
	// TuboidSeries calls fn with every tuboid of the series that lie inside one of the given ones, both bounds included,
	// once each, ordered by the series' device, its start, its id, then the number in the series.
	TuboidSeries(ctx context.Context, series []Series, fn func(*Tuboid) error) error
	// DeleteTuboids deletes the series that lie inside one of the given ones, with their tuboids and labels, and gives them.
	// deleteObjects and deleted as in [Store.DeleteImages], with the series and its tuboids.
	DeleteTuboids(ctx context.Context, series []Series, deleteObjects func(context.Context, TuboidSeries, []Tuboid) error, deleted func(*TuboidSeries) error) error
	// TuboidsByName gives the tuboids of those names that are there, once each, ordered by id.
	TuboidsByName(ctx context.Context, tuboidIDs []string) ([]Tuboid, error)
	// AddLabels stores all of them or none, and gives them. CodeNotFound where a tuboid is not there, CodeConflict where it
	// has a label of that algorithm and version; the message names the element by its index.
	AddLabels(ctx context.Context, labels []NewLabel) ([]Label, error)
	// Labels calls fn with every label of those tuboids, once each, ordered by id.
	Labels(ctx context.Context, tuboidIDs []string, fn func(*Label) error) error
}

// TuboidClaim is the sole right to store one tuboid.
type TuboidClaim interface {
	// Commit inserts the tuboid, and its series where it is the first, and sets their ids. CodeConflict where the series is
	// there with other numbers, or full.
	Commit(ctx context.Context, t *Tuboid) error
	// Release ends the claim. It is to be called once, after Commit too, and does not fail.
	Release()
}
