package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// oldStackMigration is migration 2 of MariaDB: it brings the tables of either generation of the old stack up to date, in
// place. MariaDB commits each change of a table at once, so every step looks at what is there and may be repeated.
type oldStackMigration struct{ migrationRun }

// oldTables in an order in which users come last: their column of user names is the source of the others'.
var oldTables = []string{"images", "uid_annotations", "tuboid_series", "tiled_tuboids", "itc_labels", "users"}

// measures are the columns of images that become DOUBLE NULL. Old ones are FLOAT, SMALLINT or DECIMAL, some NOT NULL.
var measures = []string{"alt", "lat", "lng", "temp", "hum", "no_flash_shutter_speed", "no_flash_exposure_time", "no_flash_bv",
	"no_flash_iso", "lum", "bat", "but"}

// toRound is the comment of a column that was FLOAT and became DOUBLE, but still holds values such as 76.80000305175781 for
// 76.8. It is set by the very statement that changes the type, so that a migration which is killed in between knows what is
// left to do, and never rounds values that were DOUBLE before.
const toRound = "was FLOAT: to be rounded"

func (m *oldStackMigration) up(ctx context.Context, db *sql.DB) error {
	for _, table := range oldTables {
		if err := m.nameUsers(ctx, db, table); err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
	}
	if err := m.users(ctx, db); err != nil {
		return fmt.Errorf("table users: %w", err)
	}
	if err := m.images(ctx, db); err != nil {
		return fmt.Errorf("table images: %w", err)
	}
	return nil
}

func (m *oldStackMigration) done(step string) error {
	m.log.Info("database migration 2", "done", step)
	return m.checkpoint(step)
}

type column struct {
	dataType string // without length: float, int, varchar
	length   int64  // of text
	nullable bool
	comment  string
}

func columns(ctx context.Context, db *sql.DB, table string) (map[string]column, error) {
	rows, err := db.QueryContext(ctx, `SELECT column_name, data_type, COALESCE(character_maximum_length, 0), is_nullable = 'YES', column_comment
		FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?`, table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[string]column)
	for rows.Next() {
		var name string
		var c column
		if err := rows.Scan(&name, &c.dataType, &c.length, &c.nullable, &c.comment); err != nil {
			return nil, err
		}
		c.dataType = strings.ToLower(c.dataType)
		found[strings.ToLower(name)] = c
	}
	return found, rows.Err()
}

// texts runs a query of one column of text.
func texts(ctx context.Context, db *sql.DB, query string, args ...any) (found []string, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		found = append(found, s)
	}
	return found, rows.Err()
}

// chunks runs an UPDATE over all ids of a table, piece by piece. Its two last parameters are the bounds: id > ? AND id <= ?.
func (m *oldStackMigration) chunks(ctx context.Context, db *sql.DB, table, update string) error {
	for from, n := int64(0), 0; ; n++ {
		var to sql.Null[int64]
		err := db.QueryRowContext(ctx, "SELECT MAX(id) FROM (SELECT id FROM "+table+" WHERE id > ? ORDER BY id LIMIT ?) AS chunk", from, m.chunk).Scan(&to)
		if err != nil {
			return err
		}
		if !to.Valid {
			return nil
		}
		if _, err := db.ExecContext(ctx, update, from, to.V); err != nil {
			return err
		}
		from = to.V
		if n%50 == 49 {
			m.log.Info("database migration 2", "table", table, "id", from)
		}
		if err := m.checkpoint(fmt.Sprintf("%s up to id %d", table, from)); err != nil {
			return err
		}
	}
}

// nameUsers turns api_user_id of the second generation into api_user: the name itself, not a reference, so that a row
// keeps it when the user goes.
func (m *oldStackMigration) nameUsers(ctx context.Context, db *sql.DB, table string) error {
	cols, err := columns(ctx, db, table)
	if err != nil {
		return err
	}
	old, there := cols["api_user_id"]
	if !there {
		if _, named := cols["api_user"]; !named {
			_, err = db.ExecContext(ctx, "ALTER TABLE "+table+" ADD COLUMN IF NOT EXISTS api_user VARCHAR(32) NULL")
		}
		return err
	}
	isText := old.dataType == "varchar" || old.dataType == "char" || strings.HasSuffix(old.dataType, "text")
	kind := "VARCHAR(32)"
	if isText && old.length > 32 {
		kind = fmt.Sprintf("VARCHAR(%d)", min(old.length, 255))
	}
	if _, err := db.ExecContext(ctx, "ALTER TABLE "+table+" ADD COLUMN IF NOT EXISTS api_user "+kind+" NULL"); err != nil {
		return err
	}
	// An id without its user keeps the number: it is all that is left to tell.
	value, join := "t.api_user_id", ""
	if !isText {
		value, join = "COALESCE(u.username, CAST(t.api_user_id AS CHAR))", " LEFT JOIN users u ON u.id = t.api_user_id"
	}
	err = m.chunks(ctx, db, table, "UPDATE "+table+" t"+join+" SET t.api_user = "+value+
		" WHERE t.api_user IS NULL AND t.api_user_id IS NOT NULL AND t.id > ? AND t.id <= ?")
	if err != nil {
		return err
	}
	keys, err := texts(ctx, db, `SELECT constraint_name FROM information_schema.key_column_usage
		WHERE table_schema = DATABASE() AND table_name = ? AND column_name = 'api_user_id' AND referenced_table_name IS NOT NULL`, table)
	if err != nil {
		return err
	}
	var change strings.Builder
	for _, key := range keys {
		fmt.Fprintf(&change, "DROP FOREIGN KEY IF EXISTS `%s`, ", key)
	}
	if _, err := db.ExecContext(ctx, "ALTER TABLE "+table+" "+change.String()+"DROP COLUMN IF EXISTS api_user_id"); err != nil {
		return err
	}
	return m.done(table + ".api_user_id")
}

func (m *oldStackMigration) users(ctx context.Context, db *sql.DB) error {
	for _, statement := range []string{
		// Old servers answered a missing role as none, and let every account write that did not say otherwise.
		"UPDATE users SET is_admin = 0 WHERE is_admin IS NULL",
		"UPDATE users SET can_write = 1 WHERE can_write IS NULL",
		// An address that is none must not stand in the way of the next account without one: addresses are unique.
		"UPDATE users SET email = NULL WHERE email = ''",
		"ALTER TABLE users MODIFY is_admin TINYINT(1) NOT NULL DEFAULT 0, MODIFY can_write TINYINT(1) NOT NULL DEFAULT 1",
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return m.done("users")
}

func (m *oldStackMigration) images(ctx context.Context, db *sql.DB) error {
	cols, err := columns(ctx, db, "images")
	if err != nil {
		return err
	}
	indexes, err := texts(ctx, db, `SELECT DISTINCT index_name FROM information_schema.statistics
		WHERE table_schema = DATABASE() AND table_name = 'images'`)
	if err != nil {
		return err
	}
	var changes, round []string
	for _, name := range measures {
		c, there := cols[name]
		switch {
		case !there:
			changes = append(changes, "ADD COLUMN IF NOT EXISTS "+name+" DOUBLE NULL")
		case c.dataType == "float":
			changes = append(changes, "MODIFY "+name+" DOUBLE NULL COMMENT '"+toRound+"'")
			round = append(round, name)
		case c.comment == toRound:
			round = append(round, name)
		case c.dataType != "double" || !c.nullable:
			changes = append(changes, "MODIFY "+name+" DOUBLE NULL")
		}
	}
	for _, name := range []string{"width", "height"} {
		if c := cols[name]; c.dataType != "int" || c.nullable {
			changes = append(changes, "MODIFY "+name+" INT NOT NULL")
		}
	}
	if slices.Contains(indexes, "image_uid") {
		changes = append(changes, "DROP INDEX IF EXISTS image_uid") // the same columns as image_id
	}
	if !slices.Contains(indexes, "image_id") {
		changes = append(changes, "ADD UNIQUE INDEX IF NOT EXISTS image_id (device, datetime)")
	}
	if !slices.Contains(indexes, "image_time") {
		changes = append(changes, "ADD INDEX IF NOT EXISTS image_time (datetime, device)")
	}
	// One statement, so that the table is copied once.
	if len(changes) > 0 {
		if _, err := db.ExecContext(ctx, "ALTER TABLE images "+strings.Join(changes, ", ")); err != nil {
			return err
		}
	}
	if err := m.done("images' columns"); err != nil {
		return err
	}
	if len(round) == 0 {
		return nil
	}
	sets, unmark := make([]string, len(round)), make([]string, len(round))
	for i, name := range round {
		sets[i] = name + " = " + sevenDigits(name)
		unmark[i] = "MODIFY " + name + " DOUBLE NULL"
	}
	if err := m.chunks(ctx, db, "images", "UPDATE images SET "+strings.Join(sets, ", ")+" WHERE id > ? AND id <= ?"); err != nil {
		return err
	}
	if err := m.done("images' values"); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "ALTER TABLE images "+strings.Join(unmark, ", "))
	return err
}

// sevenDigits is an expression that rounds to 7 significant digits. Single precision holds between 6 and 9 of them: with 7,
// the number that was once stored comes back as it was written, where it had no more. Rounding twice changes nothing.
func sevenDigits(name string) string {
	return fmt.Sprintf("IF(%[1]s = 0, 0, ROUND(%[1]s, 6 - FLOOR(LOG10(ABS(%[1]s)))))", name)
}
