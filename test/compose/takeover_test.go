package compose

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// testExternalDatabase deploys on a MariaDB server outside of the stack that holds the old stack's tables, and goes back and
// forth between the versions.
func (c *composed) testExternalDatabase(t *testing.T, admin *spi.Client) {
	schema, err := os.ReadFile(stack.SharedData(t, "old-schema.sql"))
	if err != nil {
		t.Fatal(err)
	}
	const database, user = "old-stack", "biologist"
	name, port := c.project+"-external", strconv.Itoa(c.httpPort+6)
	container(t, name, "--network", "host", "-e", "MARIADB_ROOT_PASSWORD="+composePassword, "-e", "MARIADB_DATABASE="+database,
		"-e", "MARIADB_USER="+user, "-e", "MARIADB_PASSWORD="+composePassword, mariaDBImage, "--bind-address="+c.host, "--port="+port)
	external := []string{"MYSQL_HOST=" + c.host, "MYSQL_PORT=" + port, "MYSQL_DATABASE=" + database, "MYSQL_USER=" + user}
	try := func(sql string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "docker", "exec", "-i", "-e", "MYSQL_PWD="+composePassword, name, "mariadb", "-N", "-uroot", database)
		cmd.Stdin = strings.NewReader(sql)
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	sql := func(statements string) string {
		t.Helper()
		out, err := try(statements)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return out
	}
	listening := "--protocol=tcp --host=" + c.host + " --port=" + port + " --user=" + user
	eventually(t, 5*time.Minute, func() error {
		args := append([]string{"exec", "-e", "MYSQL_PWD=" + composePassword, name, "mariadb"}, strings.Fields(listening)...)
		out, err := exec.CommandContext(t.Context(), "docker", append(args, "--skip-ssl-verify-server-cert", "-e", "SELECT 1")...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	deploy := func(args ...string) string {
		t.Helper()
		out, err := c.try(t.Context(), "", external, args...)
		if err != nil {
			t.Fatalf("deploy.sh %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	backups := func() []string {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(c.data, "backup", "before-migration.*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	// no password fits: the account alone is looked for
	sql("SET FOREIGN_KEY_CHECKS=0;" + string(schema) +
		"INSERT INTO users (username, password_hash, is_admin, can_write, datetime_created) VALUES ('olduser', '$6$rounds=5000$abcdefgh$', 1, 1, '2020-01-01');")

	// a view without its table, at which the dump stops
	sql("CREATE TABLE gone (a int); CREATE VIEW broken AS SELECT a FROM gone; DROP TABLE gone;")
	before := c.replicas(t)
	out, err := c.try(t.Context(), "", external, "prod")
	if err == nil || !strings.Contains(lastLine(out), "the backup failed, and so nothing was migrated; the API of before goes on") {
		t.Errorf("prod, when the backup before the migration fails: %v\n%s", err, out)
	}
	if got := sql("SHOW TABLES LIKE 'goose%'"); got != "" || len(backups()) != 0 {
		t.Errorf("it was migrated without a backup: %s %s", got, backups())
	}
	if _, err := admin.GetUsers(t.Context()); err != nil {
		t.Errorf("the API of before: %v", err)
	}
	if after := c.replicas(t); len(before) != 1 || len(after) != 1 || before[0].id != after[0].id {
		t.Errorf("the API of before was %v and is %v", before, after)
	}

	sql("DROP VIEW broken")
	if out := deploy("prod"); !strings.Contains(out, "first a backup") {
		t.Errorf("prod:\n%s", out)
	}
	if _, runs := c.inspect(t)["spi_db"]; runs {
		t.Error("the stack's own database runs beside the external one")
	}
	if out := deploy("user", "list"); !strings.Contains(out, "olduser") || !strings.Contains(out, "spi_uid") {
		t.Errorf("user list:\n%s", out)
	}
	made := backups()
	if len(made) != 1 {
		t.Fatalf("backups: %v", made)
	}
	if dump := unzipped(t, made[0]); !bytes.Contains(dump, []byte("olduser")) || bytes.Contains(dump, []byte("goose_db_version")) {
		t.Errorf("the backup is not of the database as it was: %d bytes", len(dump))
	}

	dir := t.TempDir()
	deploy("mysql-backup", dir)
	dumps, err := filepath.Glob(filepath.Join(dir, "*.sql.gz"))
	if err != nil || len(dumps) != 1 {
		t.Fatalf("%v (%v)", dumps, err)
	}
	sql("DELETE FROM users WHERE username = 'olduser'")
	// a restore needs two databases more, which only that server's administrator can allow
	out, err = c.try(t.Context(), "", external, "mysql-restore", dumps[0], "--yes")
	grants := regexp.MustCompile(`(?m)administrator run: (GRANT .*)$`).FindStringSubmatch(out)
	if err == nil || grants == nil {
		t.Fatalf("mysql-restore without the right to make databases: %v\n%s", err, out)
	}
	sql(grants[1])
	deploy("mysql-restore", dumps[0], "--yes")
	if out := deploy("user", "list"); !strings.Contains(out, "olduser") {
		t.Errorf("user list after the restore:\n%s", out)
	}

	// back to before the migration
	if out := deploy("mysql-restore", "--no-migrate", "--yes", made[0]); !strings.Contains(out, "nothing was migrated") {
		t.Errorf("mysql-restore --no-migrate:\n%s", out)
	}
	if got := sql("SHOW TABLES"); strings.Contains(got, "goose") || !strings.Contains(got, "users") {
		t.Errorf("tables after it: %s", got)
	}
	if running := c.replicas(t); len(running) != 0 {
		t.Errorf("the API, which would migrate, runs: %v", running)
	}
	if out := deploy("prod"); !strings.Contains(out, "first a backup") {
		t.Errorf("prod after it:\n%s", out)
	}
	if out := deploy("user", "list"); !strings.Contains(out, "olduser") {
		t.Errorf("user list after it:\n%s", out)
	}
}

func unzipped(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(gz)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// withVersityGW lets stock versitygw serve the folder that is, or becomes, that of the stack's S3, as root, while do runs.
func (c *composed) withVersityGW(t *testing.T, do func(client *s3.Client)) {
	t.Helper()
	access, secret := c.secret(t, "S3_ACCESS_KEY"), c.secret(t, "S3_PRIVATE_KEY")
	name, port := c.project+"-versitygw-"+filepath.Base(c.data), strconv.Itoa(c.httpPort)
	container(t, name, "--network", "host", "-v", filepath.Join(c.data, "s3")+":/data", "-e", "ROOT_ACCESS_KEY="+access, "-e", "ROOT_SECRET_KEY="+secret,
		versityGWImage, "--port", "127.0.0.1:"+port, "posix", "/data")
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String("http://127.0.0.1:" + port), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(access, secret, ""),
	})
	eventually(t, 5*time.Minute, func() error {
		_, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket})
		return err
	})
	do(client)
	docker(t, "stop", name)
}

// The old stack's accounts: hashes as its library writes them, and as crypt(3) does at its default cost.
const (
	oldAdminPassword = "the old admin password"
	oldAdminHash     = "$6$rounds=656000$Yc3vBfCLqGjzWm1t$/HW1dAWSC2qBuCxvNfAV5470xjLK1KhobP.HVo2eX9ttrd0PwYfaDw2WtJq9UWS/12B9rQLIRMfCyU16N6H4j."
	oldUserPassword  = "the old password of anna"
	oldUserHash      = "$6$QtbLIwpHWXPOcnUY$xNBFmRgrnsxh0BozRFK1IliB3O5sBOB.50LEgspz3MTRFwVad5OQYFIiA41neW2uUiBmCV4VHtq1xjFmcYhoE0"
)

// oldFiles are an old installation's two files, without a name that came later.
var oldFiles = map[string]string{
	".env": `LOCAL_VOLUME_ROOT=@FOLDER@
ROOT_DOMAIN_NAME=` + composeDomain + `
MYSQL_HOST=spi_db
MYSQL_DATABASE=sticky-pi
MYSQL_USER=sticky-pi
API_PORT=8080
WEBAPP_PORT=8081
API_ADMIN_NAME=admin
UID_USER=spi_uid
DEBUG=False
DEVEL=False
TESTING=False
`,
	".secret.env": `SECRET_API_KEY=any-old-secret
S3_HOST=s3.${ROOT_DOMAIN_NAME}
S3_ACCESS_KEY=oldaccess
S3_PRIVATE_KEY=oldprivatekey
MYSQL_PASSWORD=old-password-$1
API_ADMIN_PASSWORD=` + oldAdminPassword + `
ADMIN_EMAIL=somebody@` + composeDomain + `
S3_BUCKET_NAME=sticky-pi
UID_PASSWORD=old-worker-password
`,
}

// testOldData takes over an old installation: its two files, its database's folder, its objects and its certificates.
func (c *composed) testOldData(t *testing.T) {
	c.deploy(t, "", "down")
	old := *c
	old.dir, old.data = filepath.Join(filepath.Dir(c.dir), "old-project"), filepath.Join(filepath.Dir(c.data), "old")
	old.environ = slices.DeleteFunc(slices.Clone(c.environ), func(v string) bool {
		return strings.HasPrefix(v, "LOCAL_VOLUME_ROOT=") || strings.HasPrefix(v, "ROOT_DOMAIN_NAME=")
	})
	old.copySources(t)
	for name, content := range oldFiles {
		if err := os.WriteFile(filepath.Join(old.dir, name), []byte(strings.ReplaceAll(content, "@FOLDER@", old.data)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	docker(t, "run", "--rm", "--network", "none", "-v", filepath.Dir(c.data)+":/v", "--entrypoint", "sh", "nginx:stable", "-euc",
		"mkdir -p /v/old/mysql /v/old/s3 && cp -a /v/"+filepath.Base(c.data)+"/data /v/old/")

	schema, err := os.ReadFile(stack.SharedData(t, "old-schema.sql"))
	if err != nil {
		t.Fatal(err)
	}
	photos, err := filepath.Glob(filepath.Join(stack.SharedData(t, "raw_images"), "*.jpg"))
	if err != nil || len(photos) == 0 {
		t.Fatal(photos, err)
	}
	rows := fmt.Sprintf(`INSERT INTO users (id, username, password_hash, is_admin, can_write, datetime_created, api_version) VALUES
	(1, 'admin', '%s', 1, 1, '2020-05-01', '1.0.0'), (2, 'anna', '%s', 0, 1, '2020-05-02', '1.0.0');
`, oldAdminHash, oldUserHash)
	var images []spi.Image
	old.withVersityGW(t, func(client *s3.Client) {
		for i, path := range photos {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			device, when, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".jpg"), ".")
			at, _, err := spi.ParseDatetime(when)
			if err != nil {
				t.Fatal(err)
			}
			images = append(images, spi.Image{Device: device, Datetime: spi.Datetime{Time: at}, MD5: md5Hex(data)})
			rows += fmt.Sprintf(`INSERT INTO images (id, device, datetime, md5, width, height, temp, hum, no_flash_shutter_speed, no_flash_exposure_time,
	no_flash_bv, no_flash_iso, datetime_created, api_user) VALUES (%d, '%s', '%s', '%s', 2592, 1944, 21.9, 76.8, 5.40226, 0.023646, 2.36, 100, '2020-07-30', 'anna');
`, 10+i, device, at.Format(time.DateTime), md5Hex(data))
			small := spitest.JPEG(spitest.Photo{Width: 128, Height: 96, Seed: uint64(i)})
			for suffix, body := range map[string][]byte{"": data, ".thumbnail": small, ".thumbnail-mini": small} {
				key := aws.String("raw_images/" + device + "/" + filepath.Base(path) + suffix)
				if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(body)}); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	const oldDetector = "sticky-pi-universal-insect-detector"
	rows += `INSERT INTO uid_annotations (parent_image_id, algo_name, algo_version, n_objects, json, datetime_created) VALUES
	(10, '` + oldDetector + `', '1598113346-ad2cd78dfaca12821046dfb8994724d5', 1, '{"annotations":[]}', '2020-08-23');
`
	old.oldDatabaseFolder(t, string(schema)+rows)

	// the names of tests are nowhere, and what the machine's clock and disk are like is its own affair
	doctor, _ := old.try(t.Context(), "", nil, "doctor")
	for _, line := range regexp.MustCompile(`(?m)^FAIL .*$`).FindAllString(doctor, -1) {
		if !regexp.MustCompile(`^FAIL  (DNS|clock|disk):`).MatchString(line) {
			t.Errorf("doctor: %s", line)
		}
	}
	if !strings.Contains(doctor, "ok    settings: complete") {
		t.Errorf("doctor:\n%s", doctor)
	}
	out := old.deploy(t, "", "prod")
	if !strings.Contains(out, "first a backup") {
		t.Errorf("prod:\n%s", out)
	}
	t.Logf("the database's folder: %s", old.exec(t, "spi_db", "sh", "-c", "cat /var/lib/mysql/*upgrade_info; mariadbd --version"))
	if out := old.deploy(t, "", "status"); !strings.Contains(out, "VALID") {
		t.Errorf("status:\n%s", out)
	}
	anna := old.client(t, "anna", oldUserPassword)
	if _, err := old.client(t, "anna", "not the old password").GetToken(t.Context()); spi.CodeOf(err) != spi.CodeUnauthorized {
		t.Errorf("another password than the old one: %v", err)
	}
	admin := old.client(t, "admin", oldAdminPassword)
	for name, client := range map[string]*spi.Client{"anna": anna, "admin": admin} {
		for range 2 { // the second time with a new hash
			if _, err := client.GetToken(t.Context()); err != nil {
				t.Errorf("log-in of %s: %v", name, err)
			}
		}
	}
	listed, err := spi.Collect(anna.GetImageSeries(t.Context(), spi.FullImage, always))
	if err != nil || len(listed) != len(images) {
		t.Errorf("%d images are listed, want %d (%v)", len(listed), len(images), err)
	}
	for _, image := range images {
		old.checkPicture(t, anna, image)
	}
	annotations, err := spi.Collect(anna.GetAnnotationSeries(t.Context(), spi.AnnotationDocuments, always))
	if err != nil || !slices.ContainsFunc(annotations, func(a spi.Annotation) bool { return a.AlgoName == oldDetector }) {
		t.Errorf("the old annotation is not among %v (%v)", annotations, err)
	}
	old.uploadSome(t, anna, images[0].Device, 1)
	if out := old.deploy(t, "", "fsck", "--deep"); !strings.Contains(out, ": 0 faults") {
		t.Errorf("fsck:\n%s", out)
	}
}

// oldDatabaseFolder makes the folder of the database, as an older MariaDB leaves it: this machine's, or else that of the
// stack's image. Root's password is not the stack's.
func (c *composed) oldDatabaseFolder(t *testing.T, content string) {
	t.Helper()
	statements := "FLUSH PRIVILEGES;\nCREATE DATABASE `sticky-pi`;\nALTER USER root@localhost IDENTIFIED BY 'forgotten';\n" +
		"CREATE USER `sticky-pi`@`%` IDENTIFIED BY '" + c.secret(t, "MYSQL_PASSWORD") + "';\nGRANT ALL ON `sticky-pi`.* TO `sticky-pi`@`%`;\n" +
		"USE `sticky-pi`;\nSET FOREIGN_KEY_CHECKS=0;\n" + content
	const script = `PATH=$PATH:/usr/sbin
made=$(mktemp -d) # where its user may look
chown mysql: "$made"
mariadb-install-db --no-defaults --user=mysql --datadir="$made" --skip-test-db --auth-root-authentication-method=normal >/dev/null
mariadbd --no-defaults --bootstrap --user=mysql --datadir="$made"
cp -a "$made/." "$1"
rm -r "$made"`
	dir := filepath.Join(c.data, "mysql")
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Stdin = strings.NewReader(statements)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	command := []string{"docker", "run", "--rm", "-i", "--network", "none", "-v", dir + ":/d", "--entrypoint", "sh", mariaDBImage, "-euc", script, "sh", "/d"}
	if _, err := run("sh", "-euc", `PATH=$PATH:/usr/sbin; command -v mariadbd && test "$(id -u)" = 0`); err == nil {
		command = []string{"sh", "-euc", script, "sh", dir}
	}
	if out, err := run(command...); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// testDevel runs devel where the settings name a database outside of the stack, which is production's and must not be touched.
func (c *composed) testDevel(t *testing.T) {
	api, s3Port, webapp := strconv.Itoa(c.httpPort+7), strconv.Itoa(c.httpPort+8), strconv.Itoa(c.httpPort+9)
	out, err := c.try(t.Context(), "", []string{
		"MYSQL_HOST=database.elsewhere.test", "MYSQL_PORT=3307", "API_PORT=" + api, "DEVEL_S3_PORT=" + s3Port, "WEBAPP_PORT=" + webapp,
		"DEVEL_VOLUME_ROOT=" + filepath.Join(filepath.Dir(c.data), "devel"),
	}, "devel")
	if err != nil {
		t.Fatalf("devel: %v\n%s", err, out)
	}
	client, err := spi.New("http://127.0.0.1:"+api, spi.WithPassword("admin", c.secret(t, "API_ADMIN_PASSWORD")))
	if err != nil {
		t.Fatal(err)
	}
	data := spitest.JPEG(spitest.Photo{Seed: 5})
	image, err := client.PutImage(t.Context(), spi.FileOf(spitest.Name("0e000005", time.Date(2024, 6, 3, 0, 0, 0, 0, time.UTC)), data))
	if err != nil {
		t.Fatal(err)
	}
	images, err := spi.Collect(client.GetImages(t.Context(), spi.FullImage, []spi.ImageKey{{Device: image.Device, Datetime: image.Datetime}}))
	if err != nil || len(images) != 1 {
		t.Fatalf("%v (%v)", images, err)
	}
	if status, got, err := fetchFrom(t.Context(), http.DefaultClient, images[0].URL); err != nil || md5Hex(got) != image.MD5 {
		t.Errorf("the picture at %s: %d, %d bytes, %v", images[0].URL, status, len(got), err)
	}
	c.deploy(t, "", "down", "devel")
	if left := docker(t, "ps", "-aq", "--filter", "label=com.docker.compose.project="+c.project+"-devel"); left != "" {
		t.Errorf("down leaves containers of devel: %s", left)
	}
}

// testNoAttributes starts the stack's S3 on a file system that keeps no extended attributes.
func (c *composed) testNoAttributes(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "ramfs", "-o", "mode=777", "ramfs", dir).CombinedOutput(); err != nil {
		t.Skipf("needs a file system without extended attributes, which only root may mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	out, err := exec.CommandContext(t.Context(), "docker", "run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL",
		"-e", "S3_ACCESS_KEY=access", "-e", "S3_PRIVATE_KEY=private", "-v", dir+":/data/objects", "sticky-pi/s3:"+c.project).CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("keeps no extended attributes")) || !bytes.Contains(out, []byte("ext4, xfs, btrfs")) {
		t.Errorf("%v: %s", err, out)
	}
}
