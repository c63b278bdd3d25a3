package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// claim is the right to store one image. In MariaDB it is a named lock of a connection, and the row is inserted over that
// very connection: if it is lost, so is the lock, and the insert fails rather than collide with the next holder's.
type claim struct {
	s        *Store
	device   string // folded
	datetime time.Time
	conn     *sql.Conn // nil in SQLite
	lock     string
	unlock   func() // of the process's own lock
}

// ClaimImage waits for the sole right to store the image. Requests of this process queue in memory; only the first of them
// holds a connection and waits for other servers.
func (s *Store) ClaimImage(ctx context.Context, device string, datetime time.Time) (store.Claim, error) {
	if err := checkTexts("images", field{"device", device, maxDevice}); err != nil {
		return nil, err
	}
	c := &claim{s: s, device: fold(device), datetime: datetime.UTC().Truncate(time.Second)}
	unlock, err := s.locks.lock(ctx, c.device+"."+strconv.FormatInt(c.datetime.Unix(), 10))
	if err != nil {
		return nil, s.fail(ctx, err, "claiming a row of", "table images")
	}
	c.unlock = unlock
	if err := c.take(ctx); err != nil {
		c.Release()
		return nil, s.fail(ctx, err, "claiming a row of", "table images")
	}
	return c, nil
}

// take takes the database's lock, where it has any, and looks for the row.
func (c *claim) take(ctx context.Context) error {
	var db interface {
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	} = c.s.read
	if c.s.claims != nil {
		conn, err := c.s.claims.Conn(ctx)
		if err != nil {
			return err
		}
		c.conn, c.lock, db = conn, c.s.dialect.lockName(c.device, c.datetime), conn
		if err := getLock(ctx, conn, c.lock); err != nil {
			return err
		}
	}
	var id int64
	err := db.QueryRowContext(ctx, "SELECT id FROM images WHERE device = ? AND datetime = ?", c.device, c.s.dialect.datetime(c.datetime)).Scan(&id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return c.conflict(nil)
}

func (c *claim) conflict(cause error) error {
	return spi.Wrap(spi.CodeConflict, cause, "the image of device %s at %s is there already", c.device, spi.FormatDatetime(c.datetime, spi.DateV2))
}

// Commit inserts the row and sets its ID.
func (c *claim) Commit(ctx context.Context, image *store.Image) error {
	if fold(image.Device) != c.device || !image.Datetime.UTC().Truncate(time.Second).Equal(c.datetime) {
		return spi.Errorf(spi.CodeInternal, "writing table images: the row is not of the device and time that were claimed")
	}
	if err := checkImage(image); err != nil {
		return err
	}
	var db beginner = c.s.write
	if c.conn != nil {
		db = c.conn
	}
	var id int64
	err := c.s.inTxOn(ctx, db, "writing", "table images", func(tx *sql.Tx) (err error) {
		id, err = c.insert(ctx, tx, image)
		return err
	})
	if err == nil {
		image.ID = id
	}
	return err
}

// insert makes the row, what detectors have to do with it, and notes the change of its day.
func (c *claim) insert(ctx context.Context, tx *sql.Tx, i *store.Image) (id int64, err error) {
	algorithms, err := c.s.passGate(ctx, tx)
	if err != nil {
		return 0, err
	}
	datetime := c.s.dialect.datetime
	result, err := tx.ExecContext(ctx, `INSERT INTO images (device, datetime, md5, device_version, width, height, alt, lat, lng, temp, hum,
		no_flash_shutter_speed, no_flash_exposure_time, no_flash_bv, no_flash_iso, lum, bat, but, datetime_created, api_version, api_user)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		i.Device, datetime(i.Datetime), i.MD5, i.DeviceVersion, i.Width, i.Height, i.Alt, i.Lat, i.Lng, i.Temp, i.Hum,
		i.NoFlashShutterSpeed, i.NoFlashExposureTime, i.NoFlashBV, i.NoFlashISO, i.Lum, i.Bat, i.But,
		datetime(i.DatetimeCreated), i.APIVersion, i.APIUser)
	if isConflict(c.s, err) {
		return 0, c.conflict(err)
	}
	if err != nil {
		return 0, err
	}
	if id, err = result.LastInsertId(); err != nil {
		return 0, err
	}
	if algorithms > 0 {
		if err := c.s.enterImage(ctx, tx, id, i); err != nil {
			return 0, err
		}
	}
	return id, c.s.touchDays(ctx, tx, []deviceDay{{c.device, dayOf(i.Datetime.Unix())}})
}

// Release ends the claim.
func (c *claim) Release() {
	if c.conn != nil {
		releaseLock(c.conn, c.lock)
	}
	c.unlock()
}

// keyedLocks are locks by name, within this process. The zero value is ready.
type keyedLocks struct {
	mu    sync.Mutex
	locks map[string]*keyedLock
}

type keyedLock struct {
	users int           // those who hold it or wait for it
	held  chan struct{} // full while it is held
}

// lock waits for the lock until ctx ends. The returned function ends it.
func (k *keyedLocks) lock(ctx context.Context, key string) (unlock func(), err error) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = make(map[string]*keyedLock)
	}
	l := k.locks[key]
	if l == nil {
		l = &keyedLock{held: make(chan struct{}, 1)}
		k.locks[key] = l
	}
	l.users++
	k.mu.Unlock()
	leave := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.locks, key)
		}
	}
	select {
	case l.held <- struct{}{}:
		return func() {
			<-l.held
			leave()
		}, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
