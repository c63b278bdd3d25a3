package compose

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

var bucket = aws.String("sticky-pi")

// s3 gives a client of the stack's S3, through the web server.
func (c *composed) s3(t *testing.T) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String("https://s3." + composeDomain), Region: "us-east-1", UsePathStyle: true, HTTPClient: c.http(t),
		Credentials: credentials.NewStaticCredentialsProvider(c.secret(t, "S3_ACCESS_KEY"), c.secret(t, "S3_PRIVATE_KEY"), ""),
	})
}

// object is what must survive of an object, beside its key.
type object struct{ md5, contentType string }

// objects reads the whole bucket.
func (c *composed) objects(t *testing.T) map[string]object {
	t.Helper()
	client := c.s3(t)
	all := map[string]object{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	keys := make(chan *string)
	for range 8 {
		wg.Go(func() {
			for key := range keys {
				out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key})
				if err != nil {
					t.Error(err)
					continue
				}
				data, err := io.ReadAll(out.Body)
				out.Body.Close()
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				all[*key] = object{md5Hex(data), aws.ToString(out.ContentType)}
				mu.Unlock()
			}
		})
	}
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Error(err)
			break
		}
		for _, o := range page.Contents {
			keys <- o.Key
		}
	}
	close(keys)
	wg.Wait()
	return all
}

// onVolume runs a shell command as root on the stack's data, at /v: what an operator would do, or a disaster.
func (c *composed) onVolume(t *testing.T, command string) {
	t.Helper()
	docker(t, "run", "--rm", "--network", "none", "-v", c.data+":/v", "--entrypoint", "sh", "nginx:stable", "-euc", command)
}

// testDatabaseBackup loses the database's folder after a backup that was made during uploads.
func (c *composed) testDatabaseBackup(t *testing.T, photos *photographs, stored []spi.Image) {
	dir := t.TempDir()
	l := c.startLoad(t, photos, 1, 3)
	l.more(t, 20)
	before := l.soFar()
	// The backup has images that are leased, by the detector if chance will, by a worker of another kind for certain.
	admin := c.client(t, "admin", c.secret(t, "API_ADMIN_PASSWORD"))
	work := spi.WorkRequest{
		Series:   spi.Series{Device: stored[0].Device, Start: stored[0].Datetime, End: spi.Datetime{Time: stored[0].Datetime.Add(time.Second)}},
		AlgoName: "another-algorithm", AlgoVersion: "1598113346-ad2cd78dfaca12821046dfb8994724d5",
	}
	if leased, err := admin.LeaseImages(t.Context(), spi.Metadata, work); err != nil || len(leased) != 1 {
		t.Fatalf("%d images leased: %v", len(leased), err)
	}
	c.deploy(t, "", "mysql-backup", dir)
	meanwhile := len(l.soFar()) - len(before)
	l.more(t, 10)
	all := l.stop(t)
	dumps, err := filepath.Glob(filepath.Join(dir, "spi_db.dump.*.sql.gz"))
	if err != nil || len(dumps) != 1 {
		t.Fatalf("%v (%v)", dumps, err)
	}

	c.deploy(t, "", "down")
	c.onVolume(t, "rm -rf /v/mysql")
	c.deploy(t, "", "prod")
	admin = c.client(t, "admin", c.secret(t, "API_ADMIN_PASSWORD"))
	if rows := rowsOf(t, admin, spi.Metadata, all); len(rows) != 0 {
		t.Fatalf("%d images are there without the database of before", len(rows))
	}
	c.deploy(t, "", "mysql-restore", dumps[0], "--yes")

	admin = c.client(t, "admin", c.secret(t, "API_ADMIN_PASSWORD"))
	c.checkWhole(t, admin, before)
	if leased, err := admin.LeaseImages(t.Context(), spi.Metadata, work); err != nil || len(leased) != 1 {
		t.Errorf("an image that was leased when the backup was made: %d are leased again: %v", len(leased), err)
	}
	for _, image := range stored {
		c.checkPicture(t, admin, image)
	}
	rows := rowsOf(t, admin, spi.Metadata, all)
	var lost []spi.File
	for _, s := range all {
		if _, ok := rows[s.file.Name]; !ok {
			lost = append(lost, s.file)
		}
	}
	t.Logf("%d images acknowledged before the backup, %d while it was made, %d after; %d of those are not in it",
		len(before), meanwhile, len(all)-len(before)-meanwhile, len(lost))
	if len(lost) < 10 || len(lost) > len(all)-len(before) {
		t.Errorf("%d images are not in the backup, of %d that were acknowledged after it began and 10 at least after its end", len(lost), len(all)-len(before))
	}

	// their objects are there: young ones may be uploads under way, old ones are left over until they are uploaded again
	out := c.deploy(t, "", "fsck")
	if want := fmt.Sprintf("0 faults, 0 mended; %d objects without a row are younger", 3*len(lost)); !strings.Contains(out, want) {
		t.Errorf("fsck, want %q:\n%s", want, out)
	}
	c.onVolume(t, "find /v/s3 -type f -exec touch -d '2 hours ago' {} +")
	out, err = c.try(t.Context(), "", nil, "fsck")
	if got := strings.Count(out, "left-object "); err == nil || got != 3*len(lost) {
		t.Errorf("fsck, an hour later: %v, %d objects left over, want %d:\n%s", err, got, 3*len(lost), out)
	}
	for _, file := range lost {
		eventually(t, 5*time.Minute, func() error { // a machine that does much else may ask for patience
			_, err := admin.PutImage(t.Context(), file)
			if err != nil {
				log, _ := exec.CommandContext(t.Context(), "docker", "logs", "--since", "1m", c.name(t, "spi_api")).CombinedOutput()
				t.Logf("again %s: %v\n%s", file.Name, err, log)
			}
			return err
		})
	}
	if out := c.deploy(t, "", "fsck", "--deep"); !strings.Contains(out, ": 0 faults") || strings.Contains(out, "without a row") {
		t.Errorf("fsck once all is uploaded again:\n%s", out)
	}
}

// copied reads what s3-backup and s3-restore say at their end.
func copied(t *testing.T, out string) (all, copied, already int) {
	t.Helper()
	found := regexp.MustCompile(`(?m)^(\d+) objects, .*: (\d+) copied \(.*\), (\d+) (?:was|were) there already, 0 faults`).FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("no end of a copy:\n%s", out)
	}
	var n [3]int
	for i := range n {
		n[i], _ = strconv.Atoi(found[i+1]) // digits
	}
	return n[0], n[1], n[2]
}

// filesBelow counts, and gives the md5 of each where wanted.
func filesBelow(t *testing.T, dir string, each func(path string)) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
			if each != nil {
				each(path)
			}
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return n
}

// interrupted begins s3-backup, and has it end in the middle: S3 stands still while it is told to.
func (c *composed) interrupted(t *testing.T, dir string, interrupt func(group int)) {
	t.Helper()
	objects := filepath.Join(dir, "objects")
	before, s3 := filesBelow(t, objects, nil), c.name(t, "spi_s3")
	cmd := exec.CommandContext(t.Context(), "sh", filepath.Join(c.dir, "deploy.sh"), "s3-backup", dir)
	cmd.Env = c.environ
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }() // where the test gave up
	for filesBelow(t, objects, nil) < before+5 {
		select {
		case err := <-ended:
			t.Fatalf("it ended before: %v\n%s", err, out)
		case <-time.After(5 * time.Millisecond):
		}
	}
	// by a signal: what hardly gets to run is frozen by the kernel (docker pause) so late that the copy may have ended
	docker(t, "kill", "--signal", "STOP", s3)
	defer docker(t, "kill", "--signal", "CONT", s3)
	interrupt(cmd.Process.Pid)
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(out.String(), "the same command goes on from here") {
			t.Errorf("an interrupted copy ends: %v\n%s", err, out)
		}
		if left := c.copies(t); len(left) != 0 {
			t.Errorf("the copy goes on in containers %v", left)
		}
		t.Logf("%d objects of the backup were there, now %d", before, filesBelow(t, objects, nil))
	case <-time.After(5 * time.Minute):
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		t.Fatalf("it does not end; so far:\n%s", out)
	}
}

// testBucketBackup loses the bucket.
func (c *composed) testBucketBackup(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bucket")
	want := c.objects(t)
	if t.Failed() {
		return
	}
	// slow enough to be met in the middle
	name := c.name(t, "spi_s3")
	docker(t, "update", "--cpu-period", "100000", "--cpu-quota", "5000", name)
	for _, by := range []struct {
		name      string
		interrupt func(group int)
	}{
		{"by Ctrl-C", func(group int) { _ = syscall.Kill(-group, syscall.SIGINT) }},
		{"by a signal", func(group int) { _ = syscall.Kill(-group, syscall.SIGTERM) }},
		{"by a terminal that is closed", func(group int) { _ = syscall.Kill(-group, syscall.SIGHUP) }},
		{"by a power cut", func(int) {
			for _, id := range c.copies(t) {
				docker(t, "kill", id)
			}
		}},
	} {
		t.Run("interrupted "+by.name, func(t *testing.T) { c.interrupted(t, dir, by.interrupt) })
	}
	docker(t, "update", "--cpu-quota", "-1", name)
	if t.Failed() {
		return
	}
	present := filesBelow(t, filepath.Join(dir, "objects"), nil)
	all, fresh, already := copied(t, c.deploy(t, "", "s3-backup", dir))
	t.Logf("after the interruptions: %d files; then %d objects, %d copied, %d there already", present, all, fresh, already)
	// of those that were under way at each interruption nothing may be known
	if all != len(want) || fresh+already != all || fresh < 1 || already < present-4*8 {
		t.Errorf("%d objects, %d copied, %d there already, want %d, with %d files before", all, fresh, already, len(want), present)
	}
	got := map[string]object{}
	filesBelow(t, filepath.Join(dir, "objects"), func(path string) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		key, _ := filepath.Rel(filepath.Join(dir, "objects"), path) // it is below
		got[key] = object{md5Hex(data), want[key].contentType}
	})
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(object{})); diff != "" {
		t.Errorf("the backup (-bucket +backup):\n%s", diff)
	}

	admin := c.client(t, "admin", c.secret(t, "API_ADMIN_PASSWORD"))
	c.uploadSome(t, admin, "0e000001", 2)
	// before the bucket is gone, which the detector would note as a fault of the images that wait for it
	eventually(t, 10*time.Minute, func() error {
		backlogs, err := admin.GetBacklog(t.Context(), spi.DetectorAlgorithm)
		for _, b := range backlogs {
			if err == nil && b.Waiting+b.Leased > 0 {
				err = fmt.Errorf("%d images wait for the detector, which has %d", b.Waiting, b.Leased)
			}
		}
		return err
	})
	want = c.objects(t)
	if all, fresh, already := copied(t, c.deploy(t, "", "s3-backup", dir)); all != len(want) || fresh != 2*3 || already != len(want)-2*3 {
		t.Errorf("two images later: %d objects, %d copied, %d there already, want %d, 6, %d", all, fresh, already, len(want), len(want)-6)
	}

	c.onVolume(t, "rm -rf /v/s3/*")
	if _, err := c.s3(t).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: bucket}); err == nil {
		t.Error("the bucket is still there")
	}
	if all, fresh, already := copied(t, c.deploy(t, "", "s3-restore", dir, "--yes")); all != len(want) || fresh != all || already != 0 {
		t.Errorf("restored: %d objects, %d copied, %d there already, want %[4]d, %[4]d, 0", all, fresh, already, len(want))
	}
	if diff := cmp.Diff(want, c.objects(t), cmp.AllowUnexported(object{})); diff != "" {
		t.Errorf("the restored bucket (-before +now):\n%s", diff)
	}
	if out := c.deploy(t, "", "fsck", "--deep"); !strings.Contains(out, ": 0 faults") {
		t.Errorf("fsck:\n%s", out)
	}
}

// copies gives the containers of copies that are under way.
func (c *composed) copies(t *testing.T) []string {
	t.Helper()
	return strings.Fields(docker(t, "ps", "-q", "--filter", "label=com.docker.compose.project="+c.project, "--filter", "label=com.docker.compose.oneoff=True"))
}
