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
