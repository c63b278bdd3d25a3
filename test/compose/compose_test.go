package compose

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
)

// TestProductionStack deploys the stack as an operator does, on an S3 folder that stock versitygw has written to, and goes
// through its life. The steps build on each other: starting it takes a minute.
func TestProductionStack(t *testing.T) {
	c := newComposed(t)
	ctx := t.Context()

	if out, err := c.try(ctx, "", nil, "prod"); err == nil || !strings.Contains(lastLine(out), "deploy.sh init") {
		t.Errorf("prod without secrets: %v\n%s", err, out)
	}
	c.deploy(t, "", "init")
	c.setSecret(t, "MYSQL_PASSWORD", composePassword)
	old := noise(1, 100_000)
	c.withVersityGW(t, func(client *s3.Client) {
		if _, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("old/folder/object"), Body: bytes.NewReader(old)}); err != nil {
			t.Fatal(err)
		}
	})
	c.startACME(t)
	c.deploy(t, "", "prod-init")
	if _, _, err := fetchFrom(ctx, c.http(t), "https://"+composeDomain); err != nil {
		t.Errorf("after prod-init nginx answers: %v", err)
	}
	c.deploy(t, "", "prod")
	if t.Failed() {
		return
	}

	t.Run("https is verified for every name", c.testNames)
	t.Run("http is redirected, strangers and old TLS are refused", c.testRefusals)
	t.Run("containers have no more rights than they need", c.testContainers)
	t.Run("the database cannot be reached from nginx", c.testNetworks)
	t.Run("objects of stock versitygw are read and written", func(t *testing.T) { c.testOldObjects(t, old) })

	admin := c.client(t, "admin", c.secret(t, "API_ADMIN_PASSWORD"))
	var stored []spi.Image
	t.Run("images are uploaded and fetched from S3", func(t *testing.T) { stored = c.uploadSome(t, admin, "a1b2c3d4", 5) })

	t.Run("the viewer is used over HTTPS", func(t *testing.T) { c.testViewer(t, c.secret(t, "API_ADMIN_PASSWORD"), stored) })

	t.Run("the detector annotates what is uploaded", func(t *testing.T) {
		var keys []spi.ImageKey
		for _, image := range stored {
			keys = append(keys, spi.ImageKey{Device: image.Device, Datetime: image.Datetime})
		}
		eventually(t, 10*time.Minute, func() error {
			annotations, err := spi.Collect(admin.GetAnnotations(ctx, spi.AnnotationRows, keys))
			if err == nil && len(annotations) < len(keys) {
				err = fmt.Errorf("%d of %d images are annotated", len(annotations), len(keys))
			}
			return err
		})
	})

	t.Run("photographs go up and come down by the command spi", func(t *testing.T) { c.testCommandLine(t, c.secret(t, "API_ADMIN_PASSWORD")) })

	t.Run("accounts are managed from the host", func(t *testing.T) {
		const password = `a pa$$word "of" ana's`
		c.deploy(t, password+"\n", "user", "add", "ana", "--read-only")
		if out := c.deploy(t, "", "user", "list"); !strings.Contains(out, "ana") || !strings.Contains(out, "admin") {
			t.Errorf("user list:\n%s", out)
		}
		if _, err := c.client(t, "ana", password).GetToken(ctx); err != nil {
			t.Errorf("log-in: %v", err)
		}
		c.deploy(t, "another password\n", "user", "reset", "ana")
		if _, err := c.client(t, "ana", "another password").GetToken(ctx); err != nil {
			t.Errorf("log-in with the new password: %v", err)
		}
		c.deploy(t, "", "user", "delete", "ana")
		if out, err := c.try(ctx, "", nil, "user", "delete", "ana"); err == nil || !strings.Contains(out, `there is no user "ana"`) {
			t.Errorf("deleted twice: %v\n%s", err, out)
		}
		if out, err := c.try(ctx, "short\n", nil, "user", "add", "bob"); err == nil || !strings.Contains(out, "at least 11") {
			t.Errorf("a short password: %v\n%s", err, out)
		}
	})

	t.Run("prod again changes nothing", func(t *testing.T) {
		before := c.started(t)
		c.deploy(t, "", "prod")
		if after := c.started(t); !slices.Equal(before, after) {
			t.Errorf("containers were restarted:\n%s\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
		}
		if out := c.deploy(t, "", "status"); !strings.Contains(out, `"ready":true`) {
			t.Errorf("status:\n%s", out)
		}
	})

	photos := newPhotographs(t)
	t.Run("a lost database is restored", func(t *testing.T) { c.testDatabaseBackup(t, photos, stored) })
	t.Run("a lost bucket is restored", c.testBucketBackup)
	admin = c.client(t, "admin", c.secret(t, "API_ADMIN_PASSWORD")) // tokens of the lost database do not hold
	t.Run("under load", func(t *testing.T) { c.testFaults(t, photos, stored[0]) })
	t.Run("two replicas", func(t *testing.T) { c.testReplicas(t, admin) })
	t.Run("a certificate is renewed while connections last", func(t *testing.T) { c.testRenewal(t, admin) })

	t.Run("a service that is broken is shown", func(t *testing.T) {
		out, err := c.try(ctx, "", []string{"TRUSTED_PROXIES=nowhere"}, "prod")
		if err == nil || !strings.Contains(out, `TRUSTED_PROXIES: holds "nowhere"`) || !strings.HasPrefix(lastLine(out), "deploy.sh: the stack is not healthy: spi_") {
			t.Errorf("prod: %v\n%s", err, out)
		}
		if out, err := c.try(ctx, "", nil, "status"); err == nil {
			t.Errorf("status of a broken stack:\n%s", out)
		}
		// nginx says what clients understand
		status, body, err := fetchFrom(ctx, c.http(t), "https://api."+composeDomain+"/healthz")
		var reply struct{ Error spi.Error }
		if err != nil || status != http.StatusServiceUnavailable || json.Unmarshal(body, &reply) != nil || reply.Error.Code != spi.CodeUnavailable {
			t.Errorf("the API while it is away: %d %s %v", status, body, err)
		}
	})

	t.Run("a service without a container is shown", func(t *testing.T) {
		c.deploy(t, "", "prod")
		docker(t, "rm", "-f", c.name(t, "certbot"))
		if out, err := c.try(ctx, "", nil, "status"); err == nil || !strings.Contains(lastLine(out), "not well: certbot") {
			t.Errorf("status: %v\n%s", err, out)
		}
	})

	t.Run("a database outside of the stack is backed up, migrated and restored", func(t *testing.T) { c.testExternalDatabase(t, admin) })

	t.Run("with another S3 the local one is not run", func(t *testing.T) {
		if out, err := c.try(ctx, "", []string{"S3_HOST=s3.provider.test"}, "prod"); err != nil {
			t.Errorf("prod: %v\n%s", err, out)
		}
		if i, running := c.inspect(t)["spi_s3"]; running {
			t.Errorf("%s runs", i.Name)
		}
		// every container is healthy, and pictures cannot be had
		if out, err := c.try(ctx, "", []string{"S3_HOST=s3.provider.test"}, "status"); err == nil || !strings.Contains(lastLine(out), "not well: spi_api") {
			t.Errorf("status: %v\n%s", err, out)
		}
	})

	t.Run("nothing is lost after down", func(t *testing.T) {
		c.deploy(t, "", "down")
		if left := docker(t, "ps", "-aq", "--filter", "label=com.docker.compose.project="+c.project); left != "" {
			t.Errorf("down leaves containers: %s", left)
		}
		t.Run("devel has a database of its own", c.testDevel)
		c.deploy(t, "", "prod")
		for _, image := range stored {
			c.checkPicture(t, admin, image)
		}
	})

	t.Run("S3 names what a file system lacks", c.testNoAttributes)
	t.Run("an old installation is taken over", c.testOldData)

	// last: it uses up what this address may do
	t.Run("log-ins of one address are bounded", func(t *testing.T) {
		client := c.http(t)
		for range 100 {
			reply, err := client.Post("https://api."+composeDomain+"/get_token", "", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(reply.Body)
			reply.Body.Close()
			if reply.StatusCode == http.StatusUnauthorized {
				continue
			}
			if reply.StatusCode != http.StatusTooManyRequests || reply.Header.Get("Retry-After") == "" || !bytes.Contains(body, []byte(spi.CodeRateLimited)) {
				t.Errorf("%s %q %v", reply.Status, body, err)
			}
			return
		}
		t.Error("a hundred log-ins are not too many")
	})
}

// environment gives a variable of a service's container.
func (c *composed) environment(t *testing.T, service, name string) string {
	t.Helper()
	return c.exec(t, service, "printenv", name)
}

func (c *composed) testOldObjects(t *testing.T, old []byte) {
	client, key := c.s3(t), aws.String("old/folder/object")
	get := func() (string, string) {
		out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(out.Body)
		if err != nil {
			t.Fatal(err)
		}
		return md5Hex(data), strings.Trim(aws.ToString(out.ETag), `"`)
	}
	if sum, etag := get(); sum != md5Hex(old) || etag != sum {
		t.Errorf("md5 %s, ETag %s, want %s", sum, etag, md5Hex(old))
	}
	data := noise(2, 100_000)
	if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(data)}); err != nil {
		t.Fatal(err)
	}
	if sum, etag := get(); sum != md5Hex(data) || etag != sum {
		t.Errorf("overwritten: md5 %s, ETag %s, want %s", sum, etag, md5Hex(data))
	}
	if _, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: key}); err != nil {
		t.Error(err)
	}
}

func (c *composed) testNames(t *testing.T) {
	client := c.http(t)
	for _, name := range []string{"", "www.", "webapp."} {
		status, body, err := fetchFrom(t.Context(), client, "https://"+name+composeDomain)
		if err != nil || status != http.StatusOK || !bytes.Contains(body, []byte("<title>Sticky Pi</title>")) {
			t.Errorf("%s: %d %s %v", name, status, body, err)
		}
	}
	reply, err := client.Get("https://api." + composeDomain + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK || reply.ProtoMajor != 2 || reply.TLS.Version != tls.VersionTLS13 {
		t.Errorf("readyz: %s by %s, TLS %x", reply.Status, reply.Proto, reply.TLS.Version)
	}
	if ids := reply.Header.Values("X-Request-Id"); len(ids) != 1 || len(ids[0]) != 32 {
		t.Errorf("X-Request-Id: %q", ids)
	}
	if reply.Header.Get("Strict-Transport-Security") == "" {
		t.Error("no Strict-Transport-Security")
	}
	if status, body, err := fetchFrom(t.Context(), client, "https://s3."+composeDomain+"/"); err != nil || status != http.StatusForbidden {
		t.Errorf("S3 without keys: %d %s %v", status, body, err)
	}
}

func (c *composed) testRefusals(t *testing.T) {
	client := c.http(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://api."+composeDomain+"/get_token?a=b", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	reply.Body.Close()
	if want := "https://api." + composeDomain + "/get_token?a=b"; reply.StatusCode != http.StatusPermanentRedirect || reply.Header.Get("Location") != want {
		t.Errorf("http: %s to %s", reply.Status, reply.Header.Get("Location"))
	}
	if status, _, err := fetchFrom(t.Context(), client, "http://api."+composeDomain+"/.well-known/acme-challenge/none"); err != nil || status != http.StatusNotFound {
		t.Errorf("the path of certificate authorities: %d %v", status, err)
	}
	for _, stranger := range []string{"http://stranger.test/", "https://stranger.test/"} {
		if status, body, err := fetchFrom(t.Context(), client, stranger); err == nil {
			t.Errorf("%s is answered: %d %s", stranger, status, body)
		}
	}
	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true} {
		raw, err := c.dial(t.Context(), "tcp", ":443")
		if err != nil {
			t.Fatal(err)
		}
		conn := tls.Client(raw, &tls.Config{RootCAs: c.roots, ServerName: "api." + composeDomain, MinVersion: version, MaxVersion: version})
		if err := conn.HandshakeContext(t.Context()); (err == nil) != ok {
			t.Errorf("TLS %x: %v", version, err)
		}
		raw.Close()
	}
}

// inspected is what the engine says of a container.
type inspected struct {
	Name  string
	State struct{ StartedAt string }

	Config struct {
		User   string
		Labels map[string]string
	}
	HostConfig struct {
		ReadonlyRootfs, Privileged bool
		CapDrop, CapAdd            []string
		SecurityOpt                []string
		Memory                     int64
		LogConfig                  struct{ Config map[string]string }
		RestartPolicy              struct{ Name string }
	}
	NetworkSettings struct {
		Ports    map[string][]struct{ HostPort string }
		Networks map[string]struct{ IPAddress string }
	}
}

func (c *composed) inspect(t *testing.T) map[string]inspected {
	t.Helper()
	ids := strings.Fields(docker(t, "ps", "-q", "--filter", "label=com.docker.compose.project="+c.project))
	var all []inspected
	if err := json.Unmarshal([]byte(docker(t, append([]string{"inspect"}, ids...)...)), &all); err != nil {
		t.Fatal(err)
	}
	containers := map[string]inspected{}
	for _, i := range all {
		containers[i.Config.Labels["com.docker.compose.service"]] = i
	}
	return containers
}

func (c *composed) started(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, i := range c.inspect(t) {
		all = append(all, i.Name+" "+i.State.StartedAt)
	}
	slices.Sort(all)
	return all
}

func (c *composed) testContainers(t *testing.T) {
	containers := c.inspect(t)
	may := map[string][]string{
		"spi_api": nil, "spi_s3": nil, "spi_uid": nil, "spi_webapp": nil, "certbot": nil,
		"spi_nginx": {"CHOWN", "NET_BIND_SERVICE", "SETGID", "SETUID"},
		"spi_db":    {"CHOWN", "DAC_OVERRIDE", "SETGID", "SETUID"},
	}
	for service, caps := range may {
		i, ok := containers[service]
		if !ok {
			t.Errorf("%s does not run", service)
			continue
		}
		h := i.HostConfig
		var added []string
		for _, name := range h.CapAdd {
			added = append(added, strings.TrimPrefix(name, "CAP_"))
		}
		slices.Sort(added)
		if !h.ReadonlyRootfs || h.Privileged || !slices.Equal(h.CapDrop, []string{"ALL"}) || !slices.Equal(added, caps) ||
			!slices.Contains(h.SecurityOpt, "no-new-privileges:true") || h.Memory == 0 || h.LogConfig.Config["max-size"] == "" ||
			h.RestartPolicy.Name != "unless-stopped" {
			t.Errorf("%s: %+v", service, h)
		}
		published := 0
		for _, ports := range i.NetworkSettings.Ports {
			published += len(ports)
		}
		if service != "spi_nginx" && published > 0 {
			t.Errorf("%s can be reached from outside: %v", service, i.NetworkSettings.Ports)
		}
	}
	if got := c.environment(t, "spi_db", "MARIADB_PASSWORD"); got != composePassword {
		t.Errorf("the password arrives as %q, want %q", got, composePassword)
	}
	for _, service := range []string{"spi_api", "spi_s3", "spi_uid", "spi_webapp"} {
		if user := containers[service].Config.User; user != "10001:10001" {
			t.Errorf("%s runs as %q", service, user)
		}
	}
	// what is sorted on disk must not count as memory
	if kind := c.exec(t, "spi_db", "stat", "-f", "-c", "%T", "/tmp"); kind == "tmpfs" {
		t.Errorf("the database's /tmp is a %s", kind)
	}
	// the processes that talk to clients, and the database
	for _, service := range []string{"spi_nginx", "spi_db"} {
		processes := docker(t, "top", strings.TrimPrefix(containers[service].Name, "/"), "-eo", "pid,uid,args")
		talking := 0
		for _, line := range strings.Split(processes, "\n") {
			if strings.Contains(line, "nginx: worker") || strings.Contains(line, "mariadbd") {
				talking++
				if uid := strings.Fields(line)[1]; uid == "0" {
					t.Errorf("%s as root: %s", service, line)
				}
			}
		}
		if talking == 0 {
			t.Errorf("%s: processes:\n%s", service, processes)
		}
	}
}

func (c *composed) testNetworks(t *testing.T) {
	edge, data, work := c.project+"_edge", c.project+"_data", c.project+"_work"
	for service, want := range map[string][]string{
		"spi_nginx": {edge}, "certbot": {edge}, "spi_db": {data}, "spi_api": {data, edge, work}, "spi_s3": {data, edge, work},
		"spi_uid": {work}, "spi_webapp": {edge},
	} {
		var got []string
		for name := range c.inspect(t)[service].NetworkSettings.Networks {
			got = append(got, name)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s is in %v, want %v", service, got, want)
		}
	}
	// the name is not known there, and if it were the address could not be reached
	address := docker(t, "inspect", "--format", fmt.Sprintf(`{{(index .NetworkSettings.Networks %q).IPAddress}}`, data), strings.TrimPrefix(c.inspect(t)["spi_db"].Name, "/"))
	for host, want := range map[string]string{"spi_db": "6", address: "28"} {
		if status := c.exec(t, "spi_nginx", "sh", "-c", "curl -s --connect-timeout 3 http://"+host+":3306 >/dev/null; echo $?"); status != want && status != "7" {
			t.Errorf("from nginx to %s: curl ends with %s, want %s or 7", host, status, want)
		}
	}
}

// uploadSome uploads generated photographs, and fetches each by its presigned address.
func (c *composed) uploadSome(t *testing.T, client *spi.Client, device string, n int) []spi.Image {
	t.Helper()
	var files []spi.File
	at := time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC)
	for i := range n {
		data := spitest.JPEG(spitest.Photo{Width: 2592, Height: 1944, Seed: uint64(i)})
		files = append(files, spi.FileOf(spitest.Name(device, at.Add(time.Duration(i)*20*time.Minute)), data))
	}
	stored, err := client.PutImages(t.Context(), files...)
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range stored {
		c.checkPicture(t, client, image)
	}
	return stored
}

func (c *composed) checkPicture(t *testing.T, client *spi.Client, image spi.Image) {
	t.Helper()
	found := 0
	for i, err := range client.GetImages(t.Context(), spi.FullImage, []spi.ImageKey{{Device: image.Device, Datetime: image.Datetime}}) {
		if err != nil {
			t.Fatal(err)
		}
		found++
		if !strings.HasPrefix(i.URL, "https://s3."+composeDomain+"/") {
			t.Errorf("the picture's address: %s", i.URL)
		}
		status, data, err := fetchFrom(t.Context(), c.http(t), i.URL)
		if err != nil || status != http.StatusOK || md5Hex(data) != image.MD5 {
			t.Errorf("the picture: %d, %d bytes with md5 %s, want %s (%v)", status, len(data), md5Hex(data), image.MD5, err)
		}
	}
	if found != 1 {
		t.Errorf("%s at %s is found %d times", image.Device, image.Datetime, found)
	}
}

// name gives the name of a service's container.
func (c *composed) name(t *testing.T, service string) string {
	t.Helper()
	i, ok := c.inspect(t)[service]
	if !ok {
		t.Fatalf("%s has no container that runs", service)
	}
	return strings.TrimPrefix(i.Name, "/")
}

// exec runs a program in a service's container.
func (c *composed) exec(t *testing.T, service string, args ...string) string {
	t.Helper()
	return docker(t, append([]string{"exec", c.name(t, service)}, args...)...)
}
