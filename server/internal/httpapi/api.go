// Package httpapi is the front of the server: gin routes, the middleware around them, the wire's JSON, and the only place
// where a typed error becomes an HTTP status. It may import auth, ingest and the interfaces store and blob; it knows no SQL
// and no S3.
package httpapi

import (
	"context"
	_ "embed"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/klauspost/compress/gzhttp"
	"golang.org/x/sync/semaphore"

	"github.com/sticky-pi/sticky-pi-server/server/internal/auth"
	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
	"github.com/sticky-pi/sticky-pi-server/server/internal/events"
	"github.com/sticky-pi/sticky-pi-server/server/internal/ingest"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/work"
)

// MaxBody is the largest request body that is taken, in bytes.
const MaxBody = 100 << 20

// gzipFrom is the smallest reply, in bytes, that is worth compressing.
const gzipFrom = 1400

//go:embed openapi.yaml
var openAPI []byte

// Observer is told of each request's end. header is the reply's.
type Observer interface {
	Observe(method, endpoint string, status int, header http.Header, took time.Duration)
}

// Ingest stores an uploaded file.
type Ingest interface {
	Put(ctx context.Context, file ingest.File, user string) (store.Image, error)
}

// Config is what the API is made of.
type Config struct {
	Store       store.Store
	Annotations store.Annotations
	Work        *work.Queue
	Tuboids     store.Tuboids
	Projects    store.Projects
	Views       store.Views
	Events      *events.Hub
	Blobs       blob.Store
	Ingest      Ingest
	// TuboidIngest stores uploaded tuboids.
	TuboidIngest TuboidIngest
	Corners      Corners
	Auth         *auth.Authenticator
	Requests     Observer
	Ready        http.Handler // answers /readyz
	Log          *slog.Logger
	Now          func() time.Time
	// TrustedProxies are the addresses and networks whose X-Forwarded-For is believed.
	TrustedProxies []string
	// MaxBundleFile bounds one file of an ML bundle, in bytes; 0 stands for DefaultMaxBundleFile.
	MaxBundleFile int64
}

type api struct {
	Config
	inMemory *semaphore.Weighted // by form
	uploads  *semaphore.Weighted // by form
	large    *semaphore.Weighted // by byte
	lists    *listRoom
	plots    *plotRoom
	tiles    *semaphore.Weighted // thumbnails of tuboids that are made at a time
	docsHTML func() ([]byte, error)
}

// probeMethods are what load balancers ask for a sign of life with.
var probeMethods = []string{http.MethodGet, http.MethodHead}

// New gives the API's handler.
func New(cfg Config) (http.Handler, error) {
	gin.SetMode(gin.ReleaseMode)
	a := &api{
		Config: cfg, inMemory: semaphore.NewWeighted(formsInMemory), uploads: semaphore.NewWeighted(uploadsAtOnce), large: semaphore.NewWeighted(largeFiles),
		lists:    newListRoom(listBytes, userListBytes),
		plots:    newPlotRoom(),
		tiles:    semaphore.NewWeighted(1),
		docsHTML: sync.OnceValues(func() ([]byte, error) { return renderDocs(openAPI) }),
	}
	g := gin.New()
	if err := g.SetTrustedProxies(cfg.TrustedProxies); err != nil {
		return nil, err
	}
	g.RedirectTrailingSlash = false
	g.HandleMethodNotAllowed = true
	g.Use(a.observe, a.body)
	g.NoRoute(a.noRoute)
	g.NoMethod(a.noMethod)

	g.Match(probeMethods, "/healthz", a.healthz)
	g.Match(probeMethods, "/readyz", gin.WrapH(cfg.Ready))
	g.GET("/openapi.yaml", a.openAPI)
	g.GET("/docs", a.docs)

	g.POST("/get_token", a.as(auth.ReadOnly, a.getToken))
	g.POST("/get_users", a.as(auth.Admin, a.getUsers))
	g.POST("/put_users", a.as(auth.Admin, a.putUsers))
	g.POST("/delete_users", a.as(auth.Admin, a.deleteUsers))
	g.POST("/reset_password", a.as(auth.ReadOnly, a.resetPassword))
	g.POST("/get_images/:what", a.as(auth.ReadOnly, a.getImages))
	g.POST("/get_image_series/:what", a.as(auth.ReadOnly, a.getImageSeries))
	g.POST("/_put_new_images", a.as(auth.ReadWrite, a.putNewImages))
	g.POST("/delete_images", a.as(auth.Admin, a.deleteImages))

	a.annotationRoutes(g)
	a.workRoutes(g)
	a.bundleRoutes(g)
	a.tuboidRoutes(g)
	a.projectRoutes(g)
	a.viewRoutes(g)

	gz, err := gzhttp.NewWrapper(gzhttp.MinSize(gzipFrom), gzhttp.CompressionLevel(1),
		gzhttp.ContentTypes([]string{"application/json", "application/yaml", "text/html"}))
	if err != nil {
		return nil, err
	}
	return gz(g), nil
}

// healthz says that the process lives; whether it can work is /readyz's matter.
func (a *api) healthz(c *gin.Context) {
	c.Data(http.StatusOK, "application/json", []byte(`{"alive":true}`))
}

func (a *api) openAPI(c *gin.Context) {
	c.Data(http.StatusOK, "application/yaml", openAPI)
}
