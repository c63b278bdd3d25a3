package sqlstore

// InterruptMigrations makes the store's migrations call checkpoint after each step and end with its error, and change at
// most chunk rows at once.
func (s *Store) InterruptMigrations(chunk int, checkpoint func(step string) error) {
	s.schema.run.chunk, s.schema.run.checkpoint = chunk, checkpoint
}

// LockName is lockName.
var LockName = lockName

// PageRows is pageRows.
const PageRows = pageRows

// LimitKeyed sets how many rows the keys of one request may name.
func (s *Store) LimitKeyed(most int) { s.maxKeyed = most }

// CountBlocksOf sets how many ids are looked at together for work that is not entered yet.
func (s *Store) CountBlocksOf(ids int64) { s.idsPerBlock = ids }

// BlocksPerCount is blocksPerCount, BlockLife blockLife.
const (
	BlocksPerCount = blocksPerCount
	BlockLife      = blockLife
)
