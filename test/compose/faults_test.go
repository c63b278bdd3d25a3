package compose

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
)

// addresses gives those of a service's container, by network.
func (c *composed) addresses(t *testing.T, service string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, network := range c.inspect(t)[service].NetworkSettings.Networks {
		all[name] = network.IPAddress
	}
	return all
}

// testFaults kills services, and has them made anew, while cards are uploaded.
func (c *composed) testFaults(t *testing.T, photos *photographs, picture spi.Image) {
	const cards = 4
	nginx := c.inspect(t)["spi_nginx"].State.StartedAt
	admin := c.client(t, "admin", c.secret(t, "API_ADMIN_PASSWORD"))
	round := 0x10
	var everything []sent
	underLoad := func(name string, fault func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			round++
			l := c.startLoad(t, photos, round, cards)
			api, pictures := startWatch(t, c.asking(t)), startWatch(t, c.fetching(t, admin, picture))
			l.more(t, 3*cards)
			before := len(l.soFar())
			fault(t)
			during := len(l.soFar()) - before
			l.more(t, 3*cards)
			all := l.stop(t)
			api.stop()
			pictures.stop()
			t.Logf("%d images acknowledged before, %d during the fault; API: %v; pictures: %v", before, during, api, pictures)
			c.checkWhole(t, admin, all)
			everything = append(everything, all...)
			if now := c.inspect(t)["spi_nginx"].State.StartedAt; now != nginx {
				t.Errorf("the web server was started again at %s", now)
			}
		})
	}
	for _, service := range []string{"spi_db", "spi_s3", "spi_api"} {
		underLoad(service+" is killed and started", func(t *testing.T) {
			name := c.name(t, service)
			docker(t, "kill", name)
			time.Sleep(3 * time.Second) // somebody has to notice
			docker(t, "start", name)
			c.healthy(t, name)
		})
	}
	for _, service := range []string{"spi_db", "spi_s3", "spi_api"} {
		underLoad(service+" is made anew at another address", func(t *testing.T) {
			before := c.addresses(t, service)
			docker(t, "rm", "-f", c.name(t, service))
			// while it is gone others get its addresses; the engine gives those that are free in an order of its own
			for network, address := range before {
				for i := range 20 {
					name := fmt.Sprintf("%s-squatter-%d", network, i)
					container(t, name, "--network", network, "--entrypoint", "sleep", "nginx:stable", "1000")
					if docker(t, "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name) == address {
						break
					}
				}
			}
			c.deploy(t, "", "prod")
			for network, address := range c.addresses(t, service) {
				if address == before[network] {
					t.Errorf("%s has the address %s in %s again", service, address, network)
				}
			}
		})
	}
	t.Run("nothing is lost after all that", func(t *testing.T) {
		// each original was read; that they are what the rows say is seen by fsck
		rows := rowsOf(t, admin, spi.Metadata, everything)
		for _, s := range everything {
			if row := rows[s.file.Name]; row.MD5 != s.md5 {
				t.Errorf("%s: the row's md5 is %q, want %s", s.file.Name, row.MD5, s.md5)
			}
		}
		t.Logf("%d images", len(everything))
		// the detector met the faults too; what it could not fetch or deliver then is no fault of an image
		if failures, err := admin.GetFailures(t.Context(), spi.FailureSeries{Series: always}); err != nil || len(failures) > 0 {
			t.Errorf("failures of the detector: %+v (%v)", failures, err)
		}
		if out := c.deploy(t, "", "fsck", "--deep"); !strings.Contains(out, ": 0 faults") {
			t.Errorf("fsck:\n%s", out)
		}
	})
}

// healthy waits until the engine says so of a container.
func (c *composed) healthy(t *testing.T, name string) {
	t.Helper()
	eventually(t, 5*time.Minute, func() error {
		if health := docker(t, "inspect", "--format", "{{.State.Health.Status}}", name); health != "healthy" {
			return errors.New(name + " is " + health)
		}
		return nil
	})
}

// replica is one container of the API.
type replica struct{ id, name, address string }

func (c *composed) replicas(t *testing.T) []replica {
	t.Helper()
	ids := strings.Fields(docker(t, "ps", "-q", "--filter", "label=com.docker.compose.project="+c.project, "--filter", "label=com.docker.compose.service=spi_api"))
	var all []replica
	for _, id := range ids {
		format := fmt.Sprintf(`{{.Name}} {{(index .NetworkSettings.Networks %q).IPAddress}}`, c.project+"_edge")
		fields := strings.Fields(docker(t, "inspect", "--format", format, id))
		all = append(all, replica{id, strings.TrimPrefix(fields[0], "/"), fields[1]})
	}
	return all
}

// answered gives how many requests to an endpoint a replica has answered, by its own metrics.
func (c *composed) answered(t *testing.T, r replica, endpoint string) int {
	t.Helper()
	metrics := c.exec(t, "spi_nginx", "curl", "-sSf", "http://"+r.address+":8090/metrics")
	n := 0
	for _, found := range regexp.MustCompile(`(?m)^request_count_total\{endpoint="`+regexp.QuoteMeta(endpoint)+`",.*\} (\d+)$`).FindAllStringSubmatch(metrics, -1) {
		count, _ := strconv.Atoi(found[1]) // digits
		n += count
	}
	return n
}

// testReplicas runs two APIs, and kills one.
func (c *composed) testReplicas(t *testing.T, admin *spi.Client) {
	c.deploy(t, "", "scale", "api=2")
	both := c.replicas(t)
	if len(both) != 2 {
		t.Fatalf("replicas: %v", both)
	}
	// the token of each at the other, past the web server
	token := func(r replica) string {
		out := c.exec(t, "spi_nginx", "curl", "-sS", "-X", "POST", "-u", "admin:"+c.secret(t, "API_ADMIN_PASSWORD"), "http://"+r.address+":8080/get_token")
		found := regexp.MustCompile(`"token":\s*"([^"]+)"`).FindStringSubmatch(out)
		if found == nil {
			t.Fatalf("no token: %s", out)
		}
		return found[1]
	}
	for i, r := range both {
		other := both[1-i]
		if out := c.exec(t, "spi_nginx", "curl", "-sS", "-X", "POST", "-u", token(r)+":", "http://"+other.address+":8080/get_users"); !strings.Contains(out, `"username":"admin"`) {
			t.Errorf("the token of %s at %s: %s", r.name, other.name, out)
		}
	}

	const asked = 200
	ask := c.asking(t)
	time.Sleep(6 * time.Second) // nginx asks for the addresses every five
	before := [2]int{c.answered(t, both[0], "/get_users"), c.answered(t, both[1], "/get_users")}
	for range asked {
		if err := ask(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	got := [2]int{c.answered(t, both[0], "/get_users") - before[0], c.answered(t, both[1], "/get_users") - before[1]}
	t.Logf("of %d requests the replicas answered %v", asked, got)
	if got[0]+got[1] != asked || min(got[0], got[1]) < asked/5 {
		t.Errorf("of %d requests the replicas answered %v", asked, got)
	}

	t.Run("one is killed", func(t *testing.T) { c.testKilledReplica(t, both[0]) })

	c.deploy(t, "", "prod") // brings back what fell
	if again := c.replicas(t); len(again) != 2 {
		t.Errorf("replicas after prod: %v", again)
	}
	c.deploy(t, "", "scale", "api=1")
	if one := c.replicas(t); len(one) != 1 {
		t.Errorf("replicas after scale api=1: %v", one)
	}
	if _, err := admin.GetUsers(t.Context()); err != nil {
		t.Error(err)
	}
}

// testKilledReplica asks the API for all that time: what begins after the kill must not fail.
func (c *composed) testKilledReplica(t *testing.T, victim replica) {
	const askers = 6 // of each kind
	type failure struct {
		began time.Time
		err   error
	}
	h := c.http(t)
	get := func(ctx context.Context) error {
		status, body, err := fetchFrom(ctx, h, "https://api."+composeDomain+"/openapi.yaml")
		if err == nil && (status != http.StatusOK || !bytes.HasPrefix(body, []byte("openapi:"))) {
			err = fmt.Errorf("status %d: %.100s", status, body)
		}
		return err
	}
	var mu sync.Mutex
	failures := map[string][]failure{}
	var asked, flying sync.Map // kind: *atomic.Int64
	var wg sync.WaitGroup
	quit := make(chan struct{})
	for kind, ask := range map[string]func(context.Context) error{"GET": get, "POST": c.asking(t)} {
		total, now := &atomic.Int64{}, &atomic.Int64{}
		asked.Store(kind, total)
		flying.Store(kind, now)
		for range askers {
			wg.Go(func() {
				for {
					select {
					case <-quit:
						return
					default:
					}
					began := time.Now()
					now.Add(1)
					err := ask(t.Context())
					now.Add(-1)
					total.Add(1)
					if err != nil {
						mu.Lock()
						failures[kind] = append(failures[kind], failure{began, err})
						mu.Unlock()
					}
				}
			})
		}
	}
	count := func(m *sync.Map, kind string) int64 {
		v, _ := m.Load(kind)
		return v.(*atomic.Int64).Load()
	}
	time.Sleep(2 * time.Second)
	inFlight := map[string]int64{"GET": count(&flying, "GET"), "POST": count(&flying, "POST")}
	docker(t, "kill", victim.name)
	killed := time.Now()
	time.Sleep(12 * time.Second) // longer than nginx keeps an address
	close(quit)
	wg.Wait()
	for _, kind := range []string{"GET", "POST"} {
		t.Logf("%s: %d requests, some %d of them in flight at the kill, %d failed", kind, count(&asked, kind), inFlight[kind], len(failures[kind]))
		for _, f := range failures[kind] {
			if f.began.After(killed) {
				t.Errorf("%s: a request that began %s after the kill failed: %v", kind, f.began.Sub(killed), f.err)
			}
		}
		if len(failures[kind]) > askers {
			t.Errorf("%s: %d requests failed, and %d at most were in flight", kind, len(failures[kind]), askers)
		}
	}
}

// testRenewal renews the certificate while a download and an upload are under way and new connections are made.
func (c *composed) testRenewal(t *testing.T, admin *spi.Client) {
	ctx := t.Context()
	before, err := c.serial(ctx, "api."+composeDomain)
	if err != nil {
		t.Fatal(err)
	}
	renewed := make(chan struct{})
	goOn := sync.OnceFunc(func() { close(renewed) })
	var wg sync.WaitGroup
	defer func() {
		goOn()
		wg.Wait()
	}()

	// more than all the buffers on the way hold
	large := noise(3, 64<<20)
	key := aws.String("tests/large")
	client := c.s3(t)
	if _, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(large)}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if _, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: key}); err != nil {
			t.Error(err)
		}
	}()
	download, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	wg.Go(func() {
		data, err := io.ReadAll(slowly{download.Body, renewed})
		download.Body.Close()
		if err != nil || md5Hex(data) != md5Hex(large) {
			t.Errorf("the download that was under way: %d of %d bytes, %v", len(data), len(large), err)
		}
	})

	at := time.Date(2024, 6, 2, 12, 0, 0, 0, time.UTC)
	photo := spitest.JPEG(spitest.Photo{Width: 2592, Height: 1944, Seed: 77})
	h := c.http(t)
	once, err := spi.New("https://api."+composeDomain, spi.WithPassword("admin", c.secret(t, "API_ADMIN_PASSWORD")), spi.WithHTTPClient(h), spi.WithRetry(spi.Retry{Attempts: 1}))
	if err != nil {
		t.Fatal(err)
	}
	opened, sending := 0, make(chan struct{})
	began := sync.OnceFunc(func() { close(sending) })
	wg.Go(func() {
		defer began()
		file := spi.File{Name: spitest.Name("0e000002", at), Open: func() (io.ReadCloser, error) {
			opened++
			if opened == 1 { // for the checksum
				return io.NopCloser(bytes.NewReader(photo)), nil
			}
			began()
			return io.NopCloser(slowly{bytes.NewReader(photo), renewed}), nil
		}}
		image, err := once.PutImage(ctx, file)
		if err != nil {
			t.Errorf("the upload that was under way: %v", err)
			return
		}
		c.checkPicture(t, admin, image)
	})
	<-sending

	fresh := c.http(t)
	fresh.Transport.(*http.Transport).DisableKeepAlives = true
	watches := map[string]*watch{
		"requests on new connections": startWatch(t, func(ctx context.Context) error {
			// the server's parts may be slow on a busy machine, of which /readyz would tell; here the web server is in question
			status, _, err := fetchFrom(ctx, fresh, "https://api."+composeDomain+"/healthz")
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("status %d", status)
			}
			return err
		}),
		"requests on one connection (HTTP/2)":   startWatch(t, c.asking(t)),
		"requests on one connection (HTTP/1.1)": startWatch(t, c.askingByHTTP1(t)),
	}

	start := time.Now()
	c.exec(t, "certbot", "certbot", "renew", "--force-renewal", "--no-random-sleep-on-renew", "--webroot", "--webroot-path", "/var/www/certbot")
	eventually(t, 5*time.Minute, func() error {
		now, err := c.serial(ctx, "api."+composeDomain)
		if err == nil && now == before {
			err = fmt.Errorf("still certificate %s", now)
		}
		return err
	})
	t.Logf("the new certificate is served %s after certbot was called", time.Since(start).Round(time.Second))
	time.Sleep(3 * time.Second)
	goOn()
	wg.Wait()
	for what, w := range watches {
		w.stop()
		t.Logf("%s: %v", what, w)
		if w.failed > 0 || w.asked == 0 {
			t.Errorf("%s: %v", what, w)
		}
	}
	if out := c.deploy(t, "", "status"); !strings.Contains(out, "VALID") || !strings.Contains(out, ": ok ") {
		t.Errorf("status:\n%s", out)
	}
}

// askingByHTTP1 gives a question that goes over one connection, which the web server may close between two of them.
func (c *composed) askingByHTTP1(t *testing.T) func(ctx context.Context) error {
	t.Helper()
	h := c.http(t)
	transport := h.Transport.(*http.Transport)
	transport.ForceAttemptHTTP2 = false
	transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	return func(ctx context.Context) error {
		status, _, err := fetchFrom(ctx, h, "https://api."+composeDomain+"/openapi.yaml")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		return err
	}
}
