package test

import (
	"context"
	"database/sql"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// Hashes of oldPassword, as crypt(3) makes them: at the old stack's cost, and at the least that there is by default.
const (
	oldPassword  = "the old password"
	oldHash      = "$6$rounds=656000$0123456789abcdef$DoIjO2.aE40ohA4HNtHfTTGipHtBbZkTcffpVmQ/YGd0WRMN5lBFWrvG1tFqiQy7MatdmDEIIXZNoYrDX5xU5."
	oldCheapHash = "$6$rounds=5000$0123456789abcdef$GscyNaSe0fSaCeSgXAgG5c9LX79qcvzQDVkbaC4v1U/UGJG5cnc1vodVuJ64gbRojOuU/vcBvYtLwM3bCvXMK/"
)

func openDatabase(t testing.TB, d kittest.Database) *sql.DB {
	t.Helper()
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr = "tcp", net.JoinHostPort(d.Host, strconv.Itoa(d.Port))
	cfg.User, cfg.Passwd, cfg.DBName, cfg.MultiStatements = d.User, d.Password, d.Name, true
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// oldRows fill the old stack's tables. %s is the column that names the user, and a, b, c are how the users are named there.
const oldRows = `
INSERT INTO users (id, username, email, password_hash, is_admin, can_write, datetime_created, api_version, COLUMN) VALUES
	(3, 'anna', '', '` + oldHash + `', 1, 1, '2020-05-01 10:00:00', '1.0.0', NULL),
	(7, 'Bob', 'bob@example.org', '` + oldCheapHash + `', 0, 0, '2020-05-02 10:00:00', '1.0.0', ANNA);
INSERT INTO images (id, device, datetime, md5, device_version, width, height, alt, lat, lng, temp, hum, no_flash_exposure_time, no_flash_bv,
	datetime_created, api_version, COLUMN OLD) VALUES
	(11, '5c173ff2', '2020-06-20 21:33:24', '9e6e908d9c29d332b511f8d5121857f8', '1.0.0', 2592, 1944, NULL, NULL, NULL, 21.9, 76.8, 0.023646, 2.36,
		'2020-06-22 09:12:40', '1.0.0', ANNA VALUES_OLD),
	(5, '0A5BB6F4', '2020-06-20 20:19:15', '0123456789abcdef0123456789abcdef', NULL, 2592, 1944, 22, -121.755200, 49.243553, -999, -1, 0.12499, 0,
		'2020-06-22 09:12:41', NULL, NULL VALUES_OLD);
INSERT INTO uid_annotations (parent_image_id, algo_name, algo_version, n_objects, json, datetime_created) VALUES
	(11, 'sticky-pi-universal-insect-detector', '1598113346-ad2cd78dfaca12821046dfb8994724d5', 1, '{"annotations":[]}', '2020-06-23 00:00:00');
`

func TestAnOldDatabaseIsTakenOver(t *testing.T) {
	schema, err := os.ReadFile(stack.SharedData(t, "old-schema.sql"))
	if err != nil {
		t.Fatal(err)
	}
	first := string(schema)
	second := strings.ReplaceAll(first, "`api_user` varchar(32)", "`api_user_id` int(11)")
	second = strings.ReplaceAll(second, "`no_flash_shutter_speed` float NOT NULL,", "`lum` float DEFAULT NULL, `bat` float DEFAULT NULL,")
	second = strings.ReplaceAll(second, "`no_flash_iso` float NOT NULL,", "`but` float DEFAULT NULL,")
	common := func(id, device, when, md5, version any, more row) row {
		r := row{
			"id": id, "device": device, "datetime": when, "md5": md5, "device_version": version, "width": 2592.0, "height": 1944.0,
			"alt": nil, "lat": nil, "lng": nil, "lum": nil, "bat": nil, "but": nil, "no_flash_iso": nil, "no_flash_shutter_speed": nil, "url": "",
		}
		for k, v := range more {
			r[k] = v
		}
		return r
	}
	for _, test := range []struct {
		name, schema, rows string
		more               row // of the first image
		zeros              row // of the second
	}{
		{
			"first generation", first,
			strings.NewReplacer("COLUMN", "api_user", "ANNA", "'anna'", "VALUES_OLD", ", 5.40226, 100", "OLD", ", no_flash_shutter_speed, no_flash_iso").Replace(oldRows),
			row{"no_flash_shutter_speed": 5.40226, "no_flash_iso": 100.0}, row{"no_flash_shutter_speed": 5.40226, "no_flash_iso": 100.0},
		},
		{
			"second generation", second,
			strings.NewReplacer("COLUMN", "api_user_id", "ANNA", "3", "VALUES_OLD", ", 1.2, 72, 1", "OLD", ", lum, bat, but").Replace(oldRows),
			row{"lum": 1.2, "bat": 72.0, "but": 1.0}, row{"lum": 1.2, "bat": 72.0, "but": 1.0},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := stack.Production(t, stack.Options{Database: func(t testing.TB, d kittest.Database) {
				t.Helper()
				statements := "SET FOREIGN_KEY_CHECKS = 0;" + test.schema + test.rows
				if _, err := openDatabase(t, d).ExecContext(context.WithoutCancel(t.Context()), statements); err != nil {
					t.Fatal(err)
				}
			}})
			a := newAPI(t, s)

			want := []row{
				common(5.0, "0A5BB6F4", "2020-06-20_20-19-15", "0123456789abcdef0123456789abcdef", nil, row{
					"alt": 22.0, "lat": -121.7552, "lng": 49.243553, "temp": -999.0, "hum": -1.0, "no_flash_exposure_time": 0.12499, "no_flash_bv": 0.0,
					"datetime_created": "2020-06-22_09-12-41", "api_version": nil, "api_user": nil,
				}),
				common(11.0, "5c173ff2", "2020-06-20_21-33-24", "9e6e908d9c29d332b511f8d5121857f8", "1.0.0", row{
					"temp": 21.9, "hum": 76.8, "no_flash_exposure_time": 0.023646, "no_flash_bv": 2.36,
					"datetime_created": "2020-06-22_09-12-40", "api_version": "1.0.0", "api_user": "anna",
				}),
			}
			for k, v := range test.zeros {
				want[0][k] = v
			}
			for k, v := range test.more {
				want[1][k] = v
			}
			keys := []row{{"device": "5c173ff2", "datetime": "2020-06-20_21-33-24"}, {"device": "0a5bb6f4", "datetime": "2020-06-20_20-19-15"}}
			same(t, "images by key", want, a.call("/get_images/metadata", keys...).rows())
			same(t, "images of a series", want, a.post("/get_image_series/metadata",
				`[{"device":"%","start_datetime":"2020-06-20_00-00-00","end_datetime":"2020-06-21_00-00-00"}]`).rows())

			db := openDatabase(t, s.Database)
			hashOf := func(user string) string {
				t.Helper()
				var hash string
				if err := db.QueryRowContext(t.Context(), "SELECT password_hash FROM users WHERE username = ?", user).Scan(&hash); err != nil {
					t.Fatal(err)
				}
				return hash
			}
			for user, hash := range map[string]string{"anna": oldHash, "bob": oldCheapHash} {
				a.as(basic(user, "not "+oldPassword)).post("/get_token", "").refused(http.StatusUnauthorized)
				same(t, "hash before the first log-in of "+user, hash, hashOf(user))
				token := a.as(basic(user, oldPassword)).token()
				if got := hashOf(user); !strings.HasPrefix(got, "$argon2id$") {
					t.Errorf("the hash of %s after its log-in is %s", user, got)
				}
				upgraded := hashOf(user)
				a.as(basic(user, oldPassword)).token()
				a.as(bearer(token)).token()
				same(t, "hash after a second log-in", upgraded, hashOf(user))
			}
			listed := a.call("/get_users", row{"username": "anna"}, row{"username": "bob"}).rows()
			same(t, "ids", []string{"3", "7"}, column(listed, "id"))
			same(t, "names", []string{"anna", "Bob"}, column(listed, "username"))
			same(t, "makers", []string{"<nil>", "anna"}, column(listed, "api_user"))
			same(t, "addresses", []string{"<nil>", "bob@example.org"}, column(listed, "email"))

			// the roles of old: anna is an admin, Bob may only read
			asAnna, asBob := a.as(basic("anna", oldPassword)), a.as(basic("Bob", oldPassword))
			p := small("5c173ff2", noon, 1)
			asBob.upload(v2(p.name(), p.data)...).refused(http.StatusForbidden)
			if id := asAnna.put(p)[0]["id"].(float64); id <= 11 {
				t.Errorf("the id of a new image is %v", id)
			}
			again := keys[0]
			same(t, "deleted", want[1:], asAnna.call("/delete_images", again).rows())
			var annotations int
			if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM uid_annotations").Scan(&annotations); err != nil || annotations != 0 {
				t.Errorf("%d annotations are left of an image that was deleted (%v)", annotations, err)
			}
		})
	}
}
