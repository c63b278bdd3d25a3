package httpapi

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/services/kit/health"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Starting gives the handler for the time before the database can be used: alive, not ready, and 503 to everything else,
// which clients answer by trying again.
func Starting(cfg Config) (http.Handler, error) {
	a := &api{Config: cfg}
	g := gin.New()
	if err := g.SetTrustedProxies(cfg.TrustedProxies); err != nil {
		return nil, err
	}
	g.Use(a.observe, a.body)
	g.Match(probeMethods, "/healthz", a.healthz)
	g.Match(probeMethods, "/readyz", func(c *gin.Context) {
		c.JSON(http.StatusServiceUnavailable, health.Report{Checks: map[string]string{"database": "the server waits for it, or brings it up to date"}})
	})
	g.NoRoute(func(c *gin.Context) {
		a.fail(c, spi.Errorf(spi.CodeUnavailable, "the server is starting and waits for the database: try again"))
	})
	return g, nil
}
