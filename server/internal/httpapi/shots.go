package httpapi

import (
	"database/sql"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/server/internal/auth"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/tuboids"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// shotBytes is about what a byte of a tuboid's metadata takes of the memory, read and parsed.
const shotBytes = 3

// getShots gives what stands in a tuboid's metadata: browsers may show pictures of another host, and read nothing there.
func (a *api) getShots(c *gin.Context, user *store.User) error {
	t, err := a.oneTuboid(c)
	if err != nil {
		return err
	}
	id, err := tuboids.ParseID(t.TuboidID)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	info, err := a.Blobs.Head(ctx, tuboids.Key(t.TuboidID, tuboids.Metadata))
	if err != nil {
		return err
	}
	if info.Size > userPlotBytes { // more than any upload may hold
		return spi.Errorf(spi.CodeInternal, "the tuboid's metadata, as it is stored, has %d bytes", info.Size)
	}
	done, err := a.plots.take(ctx, user.ID, min(int(info.Size)*shotBytes, userPlotBytes))
	if err != nil {
		return err
	}
	defer done()
	text, err := a.readObject(ctx, info)
	if err != nil {
		return err
	}
	shots, err := tuboids.ParseShots(text, id)
	if err != nil { // it was looked at before it was stored, if not by this server
		return spi.Wrap(spi.CodeInternal, err, "the tuboid's metadata, as it is stored, makes no sense")
	}
	return replyRows(c, shots, spi.DateV2, appendShot)
}

// oneTuboid finds the tuboid that the query names, which holds nothing else. CodeInvalid, CodeNotFound.
func (a *api) oneTuboid(c *gin.Context) (*store.Tuboid, error) {
	query := c.Request.URL.Query()
	for name, values := range query {
		if name != "tuboid_id" || len(values) > 1 {
			return nil, spi.Errorf(spi.CodeInvalid, "%.40q: this request takes one tuboid_id, and nothing else", name)
		}
	}
	if _, err := tuboids.ParseID(query.Get("tuboid_id")); err != nil {
		return nil, err
	}
	found, err := a.Tuboids.TuboidsByName(c.Request.Context(), []string{query.Get("tuboid_id")})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, spi.Errorf(spi.CodeNotFound, "there is no tuboid %q", query.Get("tuboid_id"))
	}
	return &found[0], nil
}

func appendShot(b []byte, s *tuboids.Shot, f spi.DateFormat) []byte {
	number := func(name string, v float64) {
		b = append(b, name...)
		b = appendNullNumber(b, sql.Null[float64]{V: v, Valid: true})
	}
	b = append(b, `{"datetime":`...)
	b = appendTime(b, s.At, f)
	number(`,"scale":`, s.Scale)
	number(`,"x":`, s.X)
	number(`,"y":`, s.Y)
	return append(b, '}')
}

// roleNames are the roles as the protocol calls them.
var roleNames = map[auth.Role]string{auth.ReadOnly: "read-only", auth.ReadWrite: "read-write", auth.Admin: "admin"}

// getMe says who asks: only admins may ask for users.
func (a *api) getMe(c *gin.Context, by *store.User) error {
	b := append(make([]byte, 0, 128), `{"id":`...)
	b = strconv.AppendInt(b, by.ID, 10)
	b = append(b, `,"role":`...)
	b = appendText(b, roleNames[auth.RoleOf(by)])
	b = append(b, `,"username":`...)
	b = appendText(b, by.Username)
	c.Data(http.StatusOK, "application/json", append(b, '}'))
	return nil
}
