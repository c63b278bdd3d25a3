package store

import (
	"context"
	"database/sql"
	"time"
)

// TuboidSeries is one run of the matcher over a device's images. (Device, start, end, algorithm, version) is unique, texts
// compared without case.
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
	TuboidID                   string // DEVICE.START.END.ALGOVERSION.NNNN; unique, compared without case
	IDInSeries                 int    // NNNN
	StartDatetime, EndDatetime time.Time
	NShots                     int
	Provenance
	Series TuboidSeries // its series' row
}

// Label says what insect a tuboid shows. (ParentTuboidID, AlgoName, AlgoVersion) is unique, texts compared without case.
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

// Tuboids keeps tracked insects and their labels. Names of tuboids are exact, compared without case. Errors are as those
// of [Store], and so are callbacks.
type Tuboids interface {
	// ClaimTuboid gives the caller the sole right, among all servers on this database, to store tuboids of t's series (those
	// of its device, times and version), so that what it finds still holds at the commit. It waits for another's claim to
	// end, as long as ctx allows. CodeConflict where the tuboid's row is there already, where the series is there with other
	// numbers, and where it has as many tuboids as it says. A claim dies with the process or the database connection that
	// holds it; its Commit fails then.
	ClaimTuboid(ctx context.Context, t *Tuboid) (TuboidClaim, error)
	// TuboidSeries calls fn with every tuboid of the series that lie inside one of the given ones, both bounds included,
	// once each, ordered by the series' device, its start, its id, then the number in the series. Memory does not grow with
	// the number of tuboids.
	TuboidSeries(ctx context.Context, series []Series, fn func(*Tuboid) error) error
	// DeleteTuboids deletes the series that lie inside one of the given ones, with their tuboids and labels, one after the
	// other, in the order of TuboidSeries. Before each deletion is committed it calls deleteObjects with the series and its
	// tuboids; where that fails, its rows stay and the error is given back. After each commit it calls deleted.
	DeleteTuboids(ctx context.Context, series []Series, deleteObjects func(context.Context, TuboidSeries, []Tuboid) error, deleted func(*TuboidSeries) error) error
	// TuboidsByName gives the tuboids of those names that are there, once each, ordered by id.
	TuboidsByName(ctx context.Context, tuboidIDs []string) ([]Tuboid, error)
	// AddLabels stores all of them or none, and gives them. CodeNotFound where a tuboid is not there, CodeConflict where it
	// has a label of that algorithm and version; the message names the element by its index.
	AddLabels(ctx context.Context, labels []NewLabel) ([]Label, error)
	// Labels calls fn with every label of those tuboids, once each, ordered by id.
	Labels(ctx context.Context, tuboidIDs []string, fn func(*Label) error) error
}

// TuboidClaim is the sole right to store tuboids of one series: see [Tuboids.ClaimTuboid].
type TuboidClaim interface {
	// Commit inserts the tuboid, and its series where it is the first, and sets their ids; t.Series becomes the row that is
	// there. CodeConflict as ClaimTuboid, CodeUnavailable where the claim was lost.
	Commit(ctx context.Context, t *Tuboid) error
	// Release ends the claim. It is to be called once, after Commit too, and does not fail.
	Release()
}
