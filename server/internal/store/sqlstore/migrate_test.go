package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/sqlstore"
	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// oldSchema is the DDL of the old stack, kept beside the project and not in it.
func oldSchema(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "..", "shared", "data", "old-schema.sql"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("needs shared/data/old-schema.sql beside the project: the tables as the old stack makes them")
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// generations are the forms in which old databases come, as changes of the first generation's schema.
var generations = map[string]func(schema string) string{
	"FirstGeneration": func(s string) string { return s },
	"SecondGenerationByName": func(s string) string {
		return secondGeneration(s, "`api_user_id` varchar(32) DEFAULT NULL")
	},
	"SecondGenerationByID": func(s string) string {
		s = secondGeneration(s, "`api_user_id` int(11) DEFAULT NULL")
		// Each table refers to the users, theirs too.
		return regexp.MustCompile(`(?s)CREATE TABLE .(\w+).(.*?)\n\) ENGINE`).ReplaceAllString(s,
			"CREATE TABLE `$1`$2,\n  KEY `made_by` (`api_user_id`),\n  CONSTRAINT `${1}_made_by` FOREIGN KEY (`api_user_id`) REFERENCES `users` (`id`)\n) ENGINE")
	},
}

func secondGeneration(s, user string) string {
	s = strings.ReplaceAll(s, "`api_user` varchar(32) DEFAULT NULL", user)
	s = strings.Replace(s, "  `no_flash_shutter_speed` float NOT NULL,\n", "  `lum` float DEFAULT NULL,\n  `bat` tinyint(4) DEFAULT NULL,\n  `but` tinyint(1) DEFAULT NULL,\n", 1)
	return strings.Replace(s, "  `no_flash_iso` float NOT NULL,\n", "", 1)
}

var tables = []string{"users", "images", "uid_annotations", "tuboid_series", "tiled_tuboids", "itc_labels"}

// plainDB is a connection without the store's settings, for what the old stack and an operator would do.
func plainDB(t testing.TB, d kittest.Database) *sql.DB {
	t.Helper()
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.DBName, cfg.MultiStatements = d.User, d.Password, d.Name, true
	cfg.Net, cfg.Addr = "tcp", fmt.Sprintf("%s:%d", d.Host, d.Port)
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func mustExec(t testing.TB, db *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.Exec(statement, args...); err != nil {
		t.Fatalf("%.200s: %v", statement, err)
	}
}

const oldImages = 57

// fillOld makes the schema and rows in all six tables, as the generation has them.
func fillOld(t *testing.T, db *sql.DB, schema string) {
	t.Helper()
	mustExec(t, db, "SET FOREIGN_KEY_CHECKS = 0; "+schema+"\nSET FOREIGN_KEY_CHECKS = 1")
	maker, second := "api_user", strings.Contains(schema, "api_user_id")
	by := func(name string) string { return "'" + name + "'" }
	if second {
		maker = "api_user_id"
	}
	if strings.Contains(schema, "`api_user_id` int") {
		by = func(name string) string { return map[string]string{"spi": "5", "Ann": "9"}[name] }
	}
	insert := func(table, columns, values string) {
		t.Helper()
		mustExec(t, db, "INSERT INTO "+table+" (datetime_created, api_version, "+maker+", "+columns+") VALUES "+values)
	}
	// spi is its own maker's namesake; the ids have gaps.
	insert("users", "id, username, email, password_hash, is_admin, can_write", `
		('2020-01-01 00:00:00', '0.0.1', NULL, 5, 'spi', 'spi@example.org', '$6$rounds=656000$salt$hash', 1, NULL)`)
	insert("users", "id, username, email, password_hash, is_admin, can_write", `
		('2020-01-02 00:00:00', '0.0.1', `+by("spi")+`, 9, 'Ann', '', '$6$x', NULL, 0),
		('2020-01-03 00:00:00', NULL, `+by("Ann")+`, 12, 'zoé', NULL, '$6$y', 0, 1)`)
	r := rand.New(rand.NewPCG(5, 6))
	for i := range oldImages {
		columns := "id, device, datetime, md5, device_version, width, height, alt, lat, lng, temp, hum, no_flash_exposure_time, no_flash_bv"
		values := fmt.Sprintf("'2020-06-21 00:00:%02d', '0.0.1', %s, %d, '5C17%04x', '2020-06-20 21:33:24', '9e6e908d9c29d332b511f8d5121857f8', %s, 2592, 1944, %s, %s",
			i, by([]string{"spi", "Ann"}[i%2]), 3*i+2, i/2*2+i%2*4096, []string{"NULL", "'3.1.0'"}[i%2],
			[]string{"NULL, NULL, NULL", "-97, 49.261420, -123.250880"}[i/2%2],
			[]string{"21.9, 76.8, 0.023646, 2.36", "NULL, NULL, 5.40226, -1.5", "-999, 0, 0, 100", fmt.Sprintf("%.4g, %.6g, %.6g, %.3g", 40*r.Float64(), 100*r.Float64(), r.Float64()/1000, 10*r.Float64()-5)}[i%4])
		if second {
			columns += ", lum, bat, but"
			values += []string{", 1.2, 72, 1", ", NULL, NULL, NULL"}[i%2]
		} else {
			columns += ", no_flash_shutter_speed, no_flash_iso"
			values += ", 5.40226, 100"
		}
		insert("images", columns, "("+values+")")
	}
	insert("uid_annotations", "id, parent_image_id, algo_name, algo_version, n_objects, json", `
		('2020-06-22 00:00:00', '0.0.1', `+by("spi")+`, 4, 2, 'uid', '1598113346-ad2c', 1, '{"annotations": [{"name": "ë\\""}]}'),
		('2020-06-22 00:00:00', NULL, NULL, 7, 5, 'uid', '1598113346-ad2c', 0, '')`)
	insert("tuboid_series", "id, device, start_datetime, end_datetime, n_images, n_tuboids, algo_name, algo_version", `
		('2020-06-23 00:00:00', '0.0.1', `+by("Ann")+`, 3, '5C170000', '2020-06-20 00:00:00', '2020-06-21 00:00:00', 72, 1, 'sim', '1')`)
	insert("tiled_tuboids", "id, parent_series_id, tuboid_id, id_in_series, start_datetime, end_datetime, n_shots", `
		('2020-06-23 00:00:01', '0.0.1', `+by("spi")+`, 8, 3, '5C170000.2020-06-20_00-00-00.2020-06-21_00-00-00.1.0001', 1, '2020-06-20 00:00:00', '2020-06-20 01:00:00', 3)`)
	insert("itc_labels", "id, parent_tuboid_id, algo_name, algo_version, label, pattern, type, `order`, family", `
		('2020-06-24 00:00:00', '0.0.1', `+by("spi")+`, 6, 8, 'itc', '1', 2, 'Insecta.*', 'Drosophila', 'Diptera', NULL)`)
}

// dump gives all rows as text, by table and column: what a client of the old stack was answered. Numbers are written alike
// whatever the type of their column, and makers under the name of the first generation.
func dump(t *testing.T, db *sql.DB) map[string][]map[string]string {
	t.Helper()
	all := make(map[string][]map[string]string)
	for _, table := range tables {
		names, values := query(t, db, "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = '"+table+"'"), []string{}
		numeric := make(map[string]bool)
		for _, n := range names {
			value, as := "CAST(`"+n[0]+"` AS CHAR)", n[0]
			numeric[n[0]] = slices.Contains([]string{"float", "double", "decimal", "smallint", "int", "tinyint"}, n[1])
			if as == "api_user_id" {
				as = "api_user"
				if n[1] == "int" {
					value = "(SELECT username FROM users u WHERE u.id = " + table + ".api_user_id)"
				}
			}
			values = append(values, "COALESCE("+value+", 'NULL') AS `"+as+"`")
		}
		rows, err := db.Query("SELECT " + strings.Join(values, ", ") + " FROM " + table + " ORDER BY id")
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			texts, places := make([]string, len(columns)), make([]any, len(columns))
			for i := range texts {
				places[i] = &texts[i]
			}
			if err := rows.Scan(places...); err != nil {
				t.Fatal(err)
			}
			row := make(map[string]string)
			for i, c := range columns {
				if f, err := strconv.ParseFloat(texts[i], 64); numeric[c] && err == nil {
					texts[i] = strconv.FormatFloat(f, 'g', -1, 64)
				}
				row[c] = texts[i]
			}
			all[table] = append(all[table], row)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil { //nolint:sqlclosecheck // one of several, closed before the next is opened
			t.Fatal(err)
		}
	}
	return all
}

func query(t *testing.T, db *sql.DB, q string) (found [][2]string) {
	t.Helper()
	rows, err := db.Query(q)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var a, b string
		if err := rows.Scan(&a, &b); err != nil {
			t.Fatal(err)
		}
		found = append(found, [2]string{a, b})
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

// migratedDump is what the old rows must be afterwards: the same, but for the values that are mended on purpose.
func migratedDump(old map[string][]map[string]string) map[string][]map[string]string {
	for _, u := range old["users"] {
		if u["email"] == "" {
			u["email"] = "NULL"
		}
		if u["is_admin"] == "NULL" {
			u["is_admin"] = "0"
		}
		if u["can_write"] == "NULL" {
			u["can_write"] = "1"
		}
	}
	for _, i := range old["images"] {
		for _, added := range []string{"lum", "bat", "but", "no_flash_shutter_speed", "no_flash_iso"} {
			if _, ok := i[added]; !ok {
				i[added] = "NULL"
			}
		}
	}
	return old
}

// imageTypes are the columns and indexes of images after the migration, whatever they were.
func imageTypes(t *testing.T, db *sql.DB) map[string]string {
	found := make(map[string]string)
	for _, c := range query(t, db, "SELECT column_name, CONCAT(column_type, ' ', is_nullable, column_comment) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'images'") {
		found[c[0]] = c[1]
	}
	for _, i := range query(t, db, "SELECT CONCAT('index ', index_name), GROUP_CONCAT(column_name ORDER BY seq_in_index) FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'images' GROUP BY index_name") {
		found[i[0]] = i[1]
	}
	return found
}

func checkMigrated(t *testing.T, db *sql.DB, want map[string][]map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, dump(t, db)); diff != "" {
		t.Errorf("rows (-want +got)\n%s", diff)
	}
	double := "double YES"
	if diff := cmp.Diff(map[string]string{
		"datetime_created": "datetime NO", "api_version": "varchar(8) YES", "api_user": "varchar(32) YES", "id": "int(11) NO",
		"device": "varchar(8) NO", "datetime": "datetime NO", "md5": "varchar(32) NO", "device_version": "varchar(8) YES",
		"width": "int(11) NO", "height": "int(11) NO", "alt": double, "lat": double, "lng": double, "temp": double, "hum": double,
		"no_flash_shutter_speed": double, "no_flash_exposure_time": double, "no_flash_bv": double, "no_flash_iso": double,
		"lum": double, "bat": double, "but": double,
		"index PRIMARY": "id", "index image_id": "device,datetime", "index image_time": "datetime,device",
	}, imageTypes(t, db)); diff != "" {
		t.Errorf("table images (-want +got)\n%s", diff)
	}
}

func openUnmigrated(t testing.TB, d kittest.Database) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.OpenMariaDB(configOf(d))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestMigrationKeepsWhatTheOldStackStored(t *testing.T) {
	for name, change := range generations {
		t.Run(name, func(t *testing.T) {
			schema := change(oldSchema(t))
			d := kittest.NewDatabase(t)
			db := plainDB(t, d)
			fillOld(t, db, schema)
			want := migratedDump(dump(t, db))
			s := openOn(t, d)
			checkMigrated(t, db, want)
			// A second start changes nothing.
			if err := s.Migrate(context.Background()); err != nil {
				t.Fatal(err)
			}
			checkMigrated(t, db, want)

			images := 0
			err := s.ImageSeries(context.Background(), []store.Series{{Device: "5c17%", Start: benchStart.AddDate(-9, 0, 0), End: benchStart}}, func(i *store.Image) error {
				images++
				return nil
			})
			if err != nil || images != oldImages {
				t.Errorf("%d images, %v; want %d", images, err, oldImages)
			}
			u, err := s.UserByName(context.Background(), "ann")
			if err != nil || u.ID != 9 || u.Email.Valid || u.IsAdmin || u.CanWrite || u.APIUser.V != "spi" {
				t.Errorf("user Ann is %+v, %v", u, err)
			}
			// What hangs on an image goes with it.
			if err := s.DeleteImages(context.Background(), []store.ImageKey{{Device: "5c170000", Datetime: benchStart.AddDate(-4, 0, 0)}, {Device: "5c17____", Datetime: spiTime("2020-06-20_21-33-24")}},
				func(context.Context, []store.Image) error { return nil }, func(*store.Image) error { return nil }); err != nil {
				t.Fatal(err)
			}
			if left := dump(t, db); len(left["images"])+len(left["uid_annotations"]) != 0 || len(left["itc_labels"]) != 1 {
				t.Errorf("after the deletion of all images: %v", left)
			}
		})
	}
}

func TestMigrationOfNothingAndOfTheOldTablesAreTheSame(t *testing.T) {
	schema := oldSchema(t)
	d, empty := kittest.NewDatabase(t), kittest.NewDatabase(t)
	fillOld(t, plainDB(t, d), schema)
	openOn(t, d)
	openOn(t, empty)
	if diff := cmp.Diff(imageTypes(t, plainDB(t, empty)), imageTypes(t, plainDB(t, d))); diff != "" {
		t.Errorf("(-new +migrated)\n%s", diff)
	}
}

func TestMigrationRoundsFloatsToSevenDigits(t *testing.T) {
	schema := oldSchema(t)
	d := kittest.NewDatabase(t)
	db := plainDB(t, d)
	mustExec(t, db, "SET FOREIGN_KEY_CHECKS = 0; "+schema)
	r := rand.New(rand.NewPCG(7, 8))
	want := make(map[int64]float64)
	for id := int64(1); id <= 2000; id++ {
		f := float32((r.Float64() - 0.5) * math.Pow(10, float64(r.IntN(24)-12)))
		switch id {
		case 1:
			f = 0
		case 2:
			f = 1000
		case 3:
			f = 999.9999
		}
		text := strconv.FormatFloat(float64(f), 'g', 7, 32)
		want[id], _ = strconv.ParseFloat(text, 64)
		// The exact value in single precision, so that the server rounds nothing on its way in.
		mustExec(t, db, `INSERT INTO images (id, device, datetime, md5, width, height, temp, no_flash_shutter_speed, no_flash_exposure_time, no_flash_bv, no_flash_iso, datetime_created)
			VALUES (?, ?, '2020-06-20 21:33:24', 'm', 1, 1, ?, 0, 0, 0, 0, '2020-06-20')`, id, fmt.Sprintf("%08x", id), float64(f))
	}
	s := openOn(t, d)
	seen := 0
	err := s.ImageSeries(context.Background(), []store.Series{{Device: "%", Start: spiTime("2020-01-01"), End: spiTime("2021-01-01")}}, func(i *store.Image) error {
		seen++
		// Numbers far from 1 may differ in the last bit, which no answer shows.
		if got := i.Temp.V; math.Abs(got-want[i.ID]) > 1e-15*math.Abs(want[i.ID]) {
			t.Errorf("id %d: %v, want %v", i.ID, got, want[i.ID])
		}
		return nil
	})
	if err != nil || seen != len(want) {
		t.Errorf("%d rows, %v", seen, err)
	}
}

func TestMigrationThatFailsAnywhereIsFinishedByTheNext(t *testing.T) {
	for name, change := range generations {
		t.Run(name, func(t *testing.T) {
			schema := change(oldSchema(t))
			for stop, finished := 1, false; !finished; stop++ {
				d := kittest.NewDatabase(t)
				db := plainDB(t, d)
				fillOld(t, db, schema)
				want := migratedDump(dump(t, db))
				s := openUnmigrated(t, d)
				calls, failure := 0, errors.New("the test fails here")
				s.InterruptMigrations(20, func(string) error {
					if calls++; calls == stop {
						return failure
					}
					return nil
				})
				err := s.Migrate(context.Background())
				if finished = err == nil; !finished && !errors.Is(err, failure) {
					t.Fatal(err)
				}
				if pending, err := s.Pending(context.Background()); err != nil || pending == finished {
					t.Fatalf("pending %v, %v after the failure at step %d", pending, err, stop)
				}
				openOn(t, d)
				checkMigrated(t, db, want)
				if t.Failed() {
					t.Fatalf("after the failure at step %d", stop)
				}
				if finished && stop < 6 {
					t.Fatalf("only %d steps: the test misses its aim", stop-1)
				}
			}
		})
	}
}

func TestMigrationSurvivesAKilledServer(t *testing.T) {
	schema := generations["SecondGenerationByID"](oldSchema(t))
	m := kittest.NewMariaDB(t)
	d, err := m.NewDatabase(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	fillOld(t, plainDB(t, d), schema)
	want := migratedDump(dump(t, plainDB(t, d)))
	for _, step := range []string{"images up to id 119", "uid_annotations.api_user_id", "images' columns", "images up to id 59"} {
		s := openUnmigrated(t, d)
		s.InterruptMigrations(20, func(at string) error {
			if at == step {
				m.Stop(syscall.SIGKILL)
			}
			return nil
		})
		err := s.Migrate(context.Background())
		var typed *spi.Error
		if !errors.As(err, &typed) || typed.Code != spi.CodeUnavailable {
			t.Fatalf("killed at %q: %v, want CodeUnavailable", step, err)
		}
		if err := m.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	openOn(t, d)
	checkMigrated(t, plainDB(t, d), want)
}

func TestServersThatStartTogetherMigrateOnce(t *testing.T) {
	schema := oldSchema(t)
	d := kittest.NewDatabase(t)
	db := plainDB(t, d)
	fillOld(t, db, schema)
	want := migratedDump(dump(t, db))
	var mu sync.Mutex
	steps := make(map[string]int)
	var wg sync.WaitGroup
	for range 4 {
		s := openUnmigrated(t, d)
		s.InterruptMigrations(20, func(step string) error {
			mu.Lock()
			defer mu.Unlock()
			steps[step]++
			return nil
		})
		wg.Go(func() {
			if err := s.Migrate(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(steps) == 0 {
		t.Error("no step was seen")
	}
	for step, n := range steps {
		if n != 1 {
			t.Errorf("%s was done %d times", step, n)
		}
	}
	checkMigrated(t, db, want)
}

func TestMigrateRefusesADatabaseOfANewerServer(t *testing.T) {
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			if pending, err := s.Pending(context.Background()); pending || err != nil {
				t.Fatalf("pending %v, %v after the migration", pending, err)
			}
			db := s.DB()
			if w, ok := s.Pools()["write"]; ok {
				db = w
			}
			mustExec(t, db, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
			_, pendingErr := s.Pending(context.Background())
			for what, err := range map[string]error{"Migrate": s.Migrate(context.Background()), "Pending": pendingErr} {
				var typed *spi.Error
				if !errors.As(err, &typed) || !strings.Contains(typed.Message, "version 99") || !strings.Contains(typed.Message, "Upgrade this server") {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

func TestPendingChangesNothing(t *testing.T) {
	d := kittest.NewDatabase(t)
	s := openUnmigrated(t, d)
	if pending, err := s.Pending(context.Background()); !pending || err != nil {
		t.Errorf("pending %v, %v in an empty database", pending, err)
	}
	if found := query(t, plainDB(t, d), "SELECT table_name, '' FROM information_schema.tables WHERE table_schema = DATABASE()"); len(found) > 0 {
		t.Errorf("tables %v", found)
	}
}
