package compose

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest/ports"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// Images beside those that the stack names itself. Pebble, the private certificate authority, is looked for in the engine
// under whatever registry it came from.
const (
	pebbleRepository = "letsencrypt/pebble"
	versityGWImage   = "versity/versitygw:v1.8.0"
	mariaDBImage     = "mariadb:11.8"
)

const composeDomain = "spi.test"

// composePassword of the database has all that env files, shells and compose files treat apart.
const composePassword = `pa$$word ${HOME}'"#;$x`

// composed is the production stack in containers, from a copy of the sources, with a project name and ports of its own. It
// is driven by deploy.sh alone, as an operator does it.
type composed struct {
	dir     string // the copy of the project
	data    string // LOCAL_VOLUME_ROOT
	project string
	environ []string
	pebble  string // image
	host    string // address at which containers of any network reach this machine; set by startACME

	httpPort, httpsPort int
	roots               *x509.CertPool // of the private certificate authority; set by startACME
	rootPEM             []byte         // the same as a file
}

// pebbleImage finds the image of pebble that the engine has, and skips the test where it has none.
func pebbleImage(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", "images", "--format", "{{.Repository}}:{{.Tag}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	for image := range strings.FieldsSeq(string(out)) {
		repository := image[:strings.LastIndexByte(image, ':')] // the registry may have a port
		if repository == pebbleRepository || strings.HasSuffix(repository, "/"+pebbleRepository) {
			return image
		}
	}
	t.Skipf("the engine has no image of %s: pull it", pebbleRepository)
	return ""
}

// newComposed copies the sources and takes everything away at the end. It skips the test where there is no engine.
func newComposed(t *testing.T) *composed {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "docker", "info").CombinedOutput(); err != nil {
		t.Skipf("no Docker engine: %v %s", err, lastLine(string(out)))
	}
	if out, err := exec.CommandContext(t.Context(), "docker", "compose", "version").CombinedOutput(); err != nil {
		t.Skipf("no docker compose: %v %s", err, lastLine(string(out)))
	}
	if exec.CommandContext(t.Context(), "docker", "image", "inspect", versityGWImage).Run() != nil {
		if out, err := exec.CommandContext(t.Context(), "docker", "pull", "-q", versityGWImage).CombinedOutput(); err != nil {
			t.Skipf("no image %s: %s", versityGWImage, lastLine(string(out)))
		}
	}
	pebble := pebbleImage(t)
	port, err := ports.Free(t.Context(), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	c := &composed{
		pebble: pebble,
		dir:    filepath.Join(home, "project"), data: filepath.Join(home, "volumes", "data"),
		project: "spi-test-" + strconv.Itoa(port), httpPort: port, httpsPort: port + 1,
	}
	c.copySources(t)
	c.environ = append(os.Environ(),
		"ROOT_DOMAIN_NAME="+composeDomain, "LOCAL_VOLUME_ROOT="+c.data, "COMPOSE_PROJECT_NAME="+c.project, "STICKY_PI_TAG="+c.project,
		"HTTP_PORT="+strconv.Itoa(c.httpPort), "HTTPS_PORT="+strconv.Itoa(c.httpsPort), "DB_BUFFER_POOL=64M", "DEBUG=true",
	)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Minute)
		defer cancel()
		for _, args := range [][]string{
			// by name: the last one may have been started from the copy of an older version
			{"sh", filepath.Join(c.dir, "deploy.sh"), "down", "prod"},
			{"sh", filepath.Join(c.dir, "deploy.sh"), "down", "devel"},
			// files of the containers' users, which the test's own may not be able to delete
			{"docker", "run", "--rm", "--network", "none", "-v", filepath.Dir(c.data) + ":/v", "--entrypoint", "sh", "nginx:stable", "-c", "rm -rf /v/*"},
			{"docker", "volume", "rm", "-f", c.project + "_db_run", c.project + "_db_tmp", c.project + "-devel_db_run", c.project + "-devel_db_tmp"},
			{"docker", "rmi", "sticky-pi/api:" + c.project, "sticky-pi/s3:" + c.project, "sticky-pi/uid:" + c.project, "sticky-pi/webapp:" + c.project},
		} {
			cmd := exec.CommandContext(ctx, args[0], args[1:]...)
			cmd.Env = c.environ
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Logf("cleaning up: %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		}
	})
	return c
}

// copySources copies what a deployment needs: no data, no secrets, nothing that is built or installed.
func (c *composed) copySources(t *testing.T) {
	t.Helper()
	root := stack.Root(t)
	for _, name := range []string{
		".dockerignore", ".env", ".secret.env.example", "deploy.sh", "docker-compose.yml", "docker-compose.prod.yml",
		"docker-compose.devel.yml", "ml", "nginx", "server", "services",
	} {
		err := filepath.WalkDir(filepath.Join(root, name), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			within, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			to := filepath.Join(c.dir, within)
			switch {
			case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".build"):
				return fs.SkipDir
			case d.IsDir():
				return os.MkdirAll(to, 0o755)
			case !d.Type().IsRegular():
				return nil
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			return os.WriteFile(to, b, info.Mode().Perm())
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// try runs a command of deploy.sh, with more variables (NAME=value) before its arguments, and gives all that it said.
func (c *composed) try(ctx context.Context, stdin string, environ []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", append([]string{filepath.Join(c.dir, "deploy.sh")}, args...)...)
	cmd.Env = slices.Concat(c.environ, environ)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// deploy runs a command of deploy.sh that must succeed.
func (c *composed) deploy(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	start := time.Now()
	out, err := c.try(t.Context(), stdin, nil, args...)
	if err != nil {
		t.Fatalf("deploy.sh %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	t.Logf("deploy.sh %s: %s", strings.Join(args, " "), time.Since(start).Round(time.Millisecond))
	return out
}

// setSecret replaces a line of .secret.env.
func (c *composed) setSecret(t *testing.T, name, value string) {
	t.Helper()
	path := filepath.Join(c.dir, ".secret.env")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^` + name + `=.*$`)
	if !line.Match(b) {
		t.Fatalf(".secret.env has no line %s", name)
	}
	if err := os.WriteFile(path, line.ReplaceAllLiteral(b, []byte(name+"="+value)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (c *composed) secret(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(c.dir, ".secret.env"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + name + `=(.*)$`).FindSubmatch(b)
	if found == nil {
		t.Fatalf(".secret.env has no line %s", name)
	}
	return string(found[1])
}

// docker runs a command of the engine's client that must succeed.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "docker", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// container runs a container until the test's end.
func container(t *testing.T, name string, args ...string) {
	t.Helper()
	docker(t, append([]string{"run", "-d", "--name", name}, args...)...)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if t.Failed() {
			log, _ := exec.CommandContext(ctx, "docker", "logs", "--tail", "30", name).CombinedOutput()
			t.Logf("log of %s:\n%s", name, log)
		}
		if out, err := exec.CommandContext(ctx, "docker", "rm", "-f", "-v", name).CombinedOutput(); err != nil {
			t.Errorf("docker rm %s: %v\n%s", name, err, out)
		}
	})
}

// startACME runs a certificate authority that finds every name on this machine's loopback, and makes prod-init use it.
func (c *composed) startACME(t *testing.T) {
	t.Helper()
	// containers of any network reach this machine at that address
	subnet, err := netip.ParsePrefix(docker(t, "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}"))
	if err != nil {
		t.Fatal(err)
	}
	host := subnet.Masked().Addr().Next().String()
	c.host = host
	acme, management, dns, dnsManagement := c.httpPort+2, c.httpPort+3, c.httpPort+4, c.httpPort+5
	dir := t.TempDir()
	certificate, key := selfSigned(t, net.ParseIP(host))
	config := fmt.Sprintf(`{"pebble": {"listenAddress": "%s:%d", "managementListenAddress": "127.0.0.1:%d", "certificate": "/pebble/cert.pem",
		"privateKey": "/pebble/key.pem", "httpPort": %d, "tlsPort": %d}}`, host, acme, management, c.httpPort, c.httpsPort)
	for name, content := range map[string][]byte{"cert.pem": certificate, "key.pem": key, "config.json": []byte(config)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	container(t, c.project+"-dns", "--network", "host", "--entrypoint", "pebble-challtestsrv", c.pebble, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
		"-dns01", "127.0.0.1:"+strconv.Itoa(dns), "-http01", "", "-https01", "", "-doh", "", "-tlsalpn01", "", "-management", "127.0.0.1:"+strconv.Itoa(dnsManagement))
	container(t, c.project+"-acme", "--network", "host", "-v", dir+":/pebble:ro", "-e", "PEBBLE_VA_NOSLEEP=1", "-e", "PEBBLE_WFE_NONCEREJECT=0", "--entrypoint", "pebble", c.pebble,
		"-config", "/pebble/config.json", "-dnsserver", "127.0.0.1:"+strconv.Itoa(dns))
	c.environ = append(c.environ,
		fmt.Sprintf("ACME_SERVER=https://%s:%d/dir", host, acme), "ACME_CA_BUNDLE="+filepath.Join(dir, "cert.pem"))

	// the root of what it issues
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // loopback
	var root []byte
	eventually(t, 5*time.Minute, func() error {
		reply, err := insecure.Get(fmt.Sprintf("https://127.0.0.1:%d/roots/0", management))
		if err != nil {
			return err
		}
		defer reply.Body.Close()
		root, err = io.ReadAll(reply.Body)
		return err
	})
	c.roots, c.rootPEM = x509.NewCertPool(), root
	if !c.roots.AppendCertsFromPEM(root) {
		t.Fatalf("no root certificate: %q", root)
	}
}

// selfSigned gives a certificate for an address, and its key.
func selfSigned(t *testing.T, ip net.IP) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "acme of tests"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{ip},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// eventually calls do until it gives nil.
func eventually(t *testing.T, within time.Duration, do func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := do()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", within, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// dial connects to the stack, whatever name is asked for.
func (c *composed) dial(ctx context.Context, _, address string) (net.Conn, error) {
	port := c.httpPort
	if strings.HasSuffix(address, ":443") {
		port = c.httpsPort
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

// http gives a client that finds every name on the stack, trusts its certificate authority and follows no redirection.
func (c *composed) http(t *testing.T) *http.Client {
	transport := &http.Transport{DialContext: c.dial, TLSClientConfig: &tls.Config{RootCAs: c.roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// serial gives the serial number of the certificate that the stack shows for a name.
func (c *composed) serial(ctx context.Context, name string) (string, error) {
	raw, err := c.dial(ctx, "tcp", ":443")
	if err != nil {
		return "", err
	}
	defer raw.Close()
	conn := tls.Client(raw, &tls.Config{RootCAs: c.roots, ServerName: name})
	if err := conn.HandshakeContext(ctx); err != nil {
		return "", err
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

// client gives a client of the API.
func (c *composed) client(t *testing.T, user, password string) *spi.Client {
	t.Helper()
	client, err := spi.New("https://api."+composeDomain, spi.WithPassword(user, password), spi.WithHTTPClient(c.http(t)))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// fetchFrom gives the status and the body of an address.
func fetchFrom(ctx context.Context, client *http.Client, url string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	reply, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	body, err := io.ReadAll(reply.Body)
	return reply.StatusCode, body, errors.Join(err, reply.Body.Close())
}
