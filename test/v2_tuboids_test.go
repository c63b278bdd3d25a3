package test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"image/jpeg"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

func TestShotsAreThoseOfTheTuboidsMetadata(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		n := newInsect(newDevice(), 0, 1)
		a.putInsect(n.fields(t, spi.DateV2)).ok()
		shots := func(i int) row {
			at := n.start.Add(time.Duration(1+i) * time.Hour)
			return row{"datetime": spi.FormatDatetime(at, spi.DateV2), "x": 100.5 + float64(i), "y": -1e-3, "scale": 3.79661}
		}
		reader := a.as(basic(a.newUser(readOnly), userPassword))
		const path = "/v2/tuboid_shots?tuboid_id="
		want := []row{shots(0), shots(1), shots(2)}
		same(t, "shots", want, reader.get(path+n.id()).rows())
		same(t, "shots by another spelling", want, reader.get(path+strings.ToUpper(n.device)+n.id()[len(n.device):]).rows())
		if got, err := adminClient(t, a.Stack).GetShots(t.Context(), n.id()); err != nil || len(got) != 3 || got[2].X != 102.5 || !got[2].Datetime.Equal(n.start.Add(3*time.Hour)) {
			t.Errorf("client: %v, %v", got, err)
		}

		other := n
		other.number = 2
		a.mistaken().get(path+other.id()).refused(http.StatusNotFound, other.id())
		a.mistaken().get("/v2/tuboid_shots").refused(http.StatusBadRequest, "tuboid_id")
		a.mistaken().get(path+url.QueryEscape("../../x")).refused(http.StatusBadRequest, "tuboid_id")
		a.mistaken().get(path+n.id()+"&device=1").refused(http.StatusBadRequest, "device")
		a.mistaken().get(path+n.id()+"&tuboid_id="+other.id()).refused(http.StatusBadRequest, "tuboid_id")
		a.as(nobody).get(path + n.id()).refused(http.StatusUnauthorized)
	})
}

func TestATileOfATuboidIsSmallAndMayBeKept(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		n := newInsect(newDevice(), 0, 1)
		a.putInsect(n.fields(t, spi.DateV2)).ok()
		reader := a.as(basic(a.newUser(readOnly), userPassword))
		const path = "/v2/tuboid_tile?tuboid_id="
		r := reader.get(path + n.id()).ok()
		tile, err := jpeg.DecodeConfig(bytes.NewReader(r.body))
		if err != nil || tile.Width > 224 || tile.Height > 224 || r.header.Get("Content-Type") != "image/jpeg" || r.header.Get("Cache-Control") != "private, max-age=86400" {
			t.Errorf("the tile is %+v (%v): %v", tile, err, r.header)
		}
		again := reader.request(http.MethodGet, path+n.id(), "", nil)
		again.Header.Set("If-None-Match", r.header.Get("ETag"))
		if got, err := http.DefaultClient.Do(again); err != nil || got.StatusCode != http.StatusNotModified || got.Body.Close() != nil {
			t.Errorf("asked again: %+v, %v", got, err)
		}
		other := n
		other.number = 2
		a.mistaken().get(path+other.id()).refused(http.StatusNotFound, other.id())
		a.mistaken().get(path+url.QueryEscape("../../x")).refused(http.StatusBadRequest, "tuboid_id")
		a.as(nobody).get(path + n.id()).refused(http.StatusUnauthorized)

		// uploads look at a picture's markers alone: without its coded data it is stored, and cannot be decoded
		broken := newInsect(newDevice(), 0, 1)
		scan := bytes.Index(broken.tuboid, []byte("\xff\xda"))
		header := int(binary.BigEndian.Uint16(broken.tuboid[scan+2:]))
		broken.tuboid = append(slices.Clone(broken.tuboid[:scan+2+header]), 0x12, 0x34, 0xff, 0xd9)
		a.putInsect(broken.fields(t, spi.DateV2)).ok()
		a.mistaken().get(path+broken.id()).refused(http.StatusNotFound, "no JPEG that can be decoded")
	})
}

func TestEverybodyMayAskWhoTheyAre(t *testing.T) {
	each(t, func(t *testing.T, a *api) {
		ids := map[string]any{}
		for _, role := range []struct {
			name string
			user row
		}{{"read-only", readOnly}, {"read-write", row{}}, {"admin", row{"is_admin": true}}} {
			name := a.newUser(role.user)
			var me row
			if err := json.Unmarshal(a.as(basic(name, userPassword)).get("/v2/me").ok().body, &me); err != nil {
				t.Fatal(err)
			}
			same(t, role.name, row{"id": a.call("/get_users", row{"username": name}).only()["id"], "role": role.name, "username": name}, me)
			ids[name] = me["id"]
		}
		if len(ids) != 3 {
			t.Errorf("ids %v", ids)
		}
		a.as(nobody).get("/v2/me").refused(http.StatusUnauthorized)
		a.as(basic(stack.AdminName, "wrong")).get("/v2/me").refused(http.StatusUnauthorized)
	})
}
