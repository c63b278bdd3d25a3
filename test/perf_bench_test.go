package test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "modernc.org/sqlite"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// The benchmarks ask a whole server over loopback. Beside the time they report the CPU milliseconds an operation of each
// process (api, db, s3), which do not depend on what else the machine does, and the API's peak memory.

// clockTick is the unit of the CPU times in /proc: USER_HZ, which is 100 on every Linux.
const clockTick = 10 * time.Millisecond

func cpuOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skipf("CPU times are read from /proc: %v", err)
	}
	// the name, in parentheses, may hold blanks; utime and stime are the 12th and 13th field behind it
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		b.Fatalf("cannot read %q", stat)
	}
	return time.Duration(user+system) * clockTick
}

// memoryOf gives a line of /proc/PID/status in MB.
func memoryOf(b *testing.B, pid int, name string) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			kB, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kB / 1024
		}
	}
	b.Fatalf("no %s", name)
	return 0
}

// measure runs op b.N times and reports the CPU of each process.
func measure(b *testing.B, s *stack.Stack, op func()) {
	b.Helper()
	pids := map[string]int{"api": s.PID()}
	if s.MariaDB != nil {
		pids["db"], pids["s3"] = s.MariaDB.PID(), s.S3.PID()
	}
	op() // connections, caches
	// the peak counts from here
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pids["api"]), []byte("5"), 0); err != nil {
		b.Logf("peak memory since the start, not of this benchmark: %v", err)
	}
	before := map[string]time.Duration{}
	for name, pid := range pids {
		before[name] = cpuOf(b, pid)
	}
	n := 0
	for b.Loop() {
		op()
		n++
	}
	total := time.Duration(0)
	for name, pid := range pids {
		used := cpuOf(b, pid) - before[name]
		total += used
		b.ReportMetric(used.Seconds()*1000/float64(n), name+"-cpu-ms/op")
	}
	b.ReportMetric(total.Seconds()*1000/float64(n), "cpu-ms/op")
	b.ReportMetric(memoryOf(b, pids["api"], "VmHWM"), "api-peak-MB")
}

func eachForBench(b *testing.B, bench func(b *testing.B, s *stack.Stack)) {
	b.Helper()
	b.Run("production", func(b *testing.B) { bench(b, stack.Production(b, stack.Options{Quiet: true})) })
	b.Run("local", func(b *testing.B) { bench(b, stack.Local(b, stack.Options{Quiet: true})) })
}

// ask posts and gives the reply, which must be a 200.
func ask(b *testing.B, s *stack.Stack, endpoint, contentType string, body []byte, user, password string) []byte {
	b.Helper()
	var out bytes.Buffer
	askTo(b, s, endpoint, contentType, body, user, password, &out)
	return out.Bytes()
}

// askTo is ask with a place for the reply, and gives its size.
func askTo(b *testing.B, s *stack.Stack, endpoint, contentType string, body []byte, user, password string, to io.Writer) int64 {
	b.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.URL+endpoint, bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.SetBasicAuth(user, password)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Accept-Encoding", "identity")
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	if reply.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(reply.Body)
		b.Fatalf("%s: %s %s", endpoint, reply.Status, text)
	}
	n, err := io.Copy(to, reply.Body)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func BenchmarkUpload(b *testing.B) {
	// one photograph, sent under another name each time
	photo := spitest.JPEG(spitest.Photo{Generation: 1, Width: 2592, Height: 1944})
	if photographs, err := filepath.Glob(filepath.Join(stack.Root(b), "..", "shared", "data", "raw_images", "*.jpg")); err == nil && len(photographs) > 0 {
		if photo, err = os.ReadFile(photographs[0]); err != nil {
			b.Fatal(err)
		}
	}
	eachForBench(b, func(b *testing.B, s *stack.Stack) {
		at := time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)
		b.SetBytes(int64(len(photo)))
		measure(b, s, func() {
			var body bytes.Buffer
			w := multipart.NewWriter(&body)
			part, err := w.CreateFormFile("0a5bb6f4."+at.Format("2006-01-02_15-04-05")+".jpg", "x")
			if err != nil {
				b.Fatal(err)
			}
			if _, err := part.Write(photo); err != nil {
				b.Fatal(err)
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
			at = at.Add(20 * time.Minute)
			ask(b, s, "/_put_new_images", w.FormDataContentType(), body.Bytes(), stack.AdminName, stack.AdminPassword)
		})
	})
}

// behind opens the database behind the API's back.
func behind(b testing.TB, s *stack.Stack) *sql.DB {
	b.Helper()
	driver, source := "sqlite", "file:"+filepath.Join(s.Data, "sticky-pi.db")+"?_pragma=busy_timeout(10000)"
	if s.MariaDB != nil {
		d := s.Database
		driver, source = "mysql", fmt.Sprintf("%s:%s@tcp(%s:%d)/%s?interpolateParams=true", d.User, d.Password, d.Host, d.Port, d.Name)
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return db
}

// fill puts n images of 50 devices, one every 20 minutes, into the database, behind the API's back.
func fill(b *testing.B, s *stack.Stack, n int) (start, end time.Time) {
	b.Helper()
	db := behind(b, s)
	when := func(t time.Time) any {
		if s.MariaDB != nil {
			return t.Format("2006-01-02 15:04:05")
		}
		return t.Unix()
	}
	const devices, batch = 50, 500
	const row = "(?,?,'9e6e908d9c29d332b511f8d5121857f8',2592,1944,97.3,49.26142,-123.25088,21.899999618530273,76.80000305175781,5.40226,0.023646,2.36,100,?,'3.0.0','admin')"
	start = time.Date(2020, 6, 1, 0, 0, 0, 0, time.UTC)
	for at := 0; at < n; at += batch {
		rows := min(batch, n-at)
		args := make([]any, 0, 3*rows)
		for i := at; i < at+rows; i++ {
			end = start.Add(time.Duration(i/devices) * 20 * time.Minute)
			args = append(args, fmt.Sprintf("%08x", 0x1000*(i%devices+1)), when(end), when(end))
		}
		query := "INSERT INTO images (device, datetime, md5, width, height, alt, lat, lng, temp, hum, no_flash_shutter_speed, no_flash_exposure_time, no_flash_bv, no_flash_iso, datetime_created, api_version, api_user) VALUES " +
			strings.Repeat(row+",", rows-1) + row
		if _, err := db.ExecContext(context.Background(), query, args...); err != nil {
			b.Fatal(err)
		}
	}
	return start, end.Add(time.Second)
}

func BenchmarkSeries(b *testing.B) {
	eachForBench(b, func(b *testing.B, s *stack.Stack) {
		start, _ := fill(b, s, 1_000_000)
		for _, rows := range []int{10_000, 100_000, 1_000_000} {
			end := start.Add(time.Duration(rows/50) * 20 * time.Minute)
			body := fmt.Appendf(nil, `[{"device":"%%","start_datetime":"%s","end_datetime":"%s"}]`,
				start.Format("2006-01-02_15-04-05"), end.Format("2006-01-02_15-04-05"))
			for _, what := range []string{"metadata", "thumbnail-mini"} {
				b.Run(fmt.Sprintf("%s/%d", what, rows), func(b *testing.B) {
					var size int64
					measure(b, s, func() {
						size = askTo(b, s, "/get_image_series/"+what, "application/json", body, stack.AdminName, stack.AdminPassword, io.Discard)
					})
					b.ReportMetric(float64(size)/1e6, "reply-MB")
				})
			}
		}
		b.Run("keys/1000", func(b *testing.B) {
			measure(b, s, func() {
				ask(b, s, "/get_images/metadata", "application/json", keysFrom(start), stack.AdminName, stack.AdminPassword)
			})
		})
	})
}

// annotationJSON is as much as a photograph with 41 insects, the median, gives.
func annotationJSON() string {
	outline := strings.Repeat(`[[2194,1597]],`, 29) + `[[2189,1602]]`
	one := `{"contour":[` + outline + `],"name":"insect","value":0,"stroke_colour":"#0000ff","fill_colour":"#ff0000"}`
	return `{"annotations":[` + strings.Repeat(one+",", 40) + one + `],"metadata":{"algo_name":"universal-insect-detector","algo_version":"1598113346-ad2cd78dfaca12821046dfb8994724d5"}}`
}

func BenchmarkAnnotations(b *testing.B) {
	eachForBench(b, func(b *testing.B, s *stack.Stack) {
		const most = 100_000
		start, _ := fill(b, s, most)
		db := behind(b, s)
		for at := 0; at < most; at += 1000 { // in steps, so that no statement is large
			if _, err := db.ExecContext(context.Background(), `INSERT INTO uid_annotations (parent_image_id, algo_name, algo_version, n_objects, json, datetime_created, api_version, api_user)
				SELECT id, 'universal-insect-detector', '1598113346-ad2cd78dfaca12821046dfb8994724d5', 41, ?, datetime_created, '3.0.0', 'spi_uid' FROM images WHERE id > ? AND id <= ?`,
				annotationJSON(), at, at+1000); err != nil {
				b.Fatal(err)
			}
		}
		for _, rows := range []int{1000, 10_000, most} {
			end := start.Add(time.Duration(rows/50) * 20 * time.Minute)
			body := fmt.Appendf(nil, `[{"device":"%%","start_datetime":"%s","end_datetime":"%s"}]`,
				start.Format("2006-01-02_15-04-05"), end.Format("2006-01-02_15-04-05"))
			for _, what := range []string{"metadata", "data"} {
				b.Run(fmt.Sprintf("series/%s/%d", what, rows), func(b *testing.B) {
					var size int64
					measure(b, s, func() {
						size = askTo(b, s, "/get_uid_annotations_series/"+what, "application/json", body, stack.AdminName, stack.AdminPassword, io.Discard)
					})
					b.ReportMetric(float64(size)/1e6, "reply-MB")
				})
			}
		}
		for _, what := range []string{"metadata", "data"} {
			b.Run("keys/"+what+"/1000", func(b *testing.B) {
				measure(b, s, func() {
					askTo(b, s, "/get_uid_annotations/"+what, "application/json", keysFrom(start), stack.AdminName, stack.AdminPassword, io.Discard)
				})
			})
		}
	})
}

// keysFrom names 1000 of the images that fill made.
func keysFrom(start time.Time) []byte {
	var keys bytes.Buffer
	for i := range 1000 {
		fmt.Fprintf(&keys, `,{"device":"%08x","datetime":"%s"}`, 0x1000*(i%50+1),
			start.Add(time.Duration(i/50)*20*time.Minute).Format("2006-01-02_15-04-05"))
	}
	return append(append([]byte{'['}, keys.Bytes()[1:]...), ']')
}

func BenchmarkGetToken(b *testing.B) {
	eachForBench(b, func(b *testing.B, s *stack.Stack) {
		var token spi.Token
		if err := json.Unmarshal(ask(b, s, "/get_token", "", nil, stack.AdminName, stack.AdminPassword), &token); err != nil {
			b.Fatal(err)
		}
		b.Run("token", func(b *testing.B) {
			measure(b, s, func() { ask(b, s, "/get_token", "", nil, token.Token, "") })
		})
		b.Run("password", func(b *testing.B) {
			measure(b, s, func() { ask(b, s, "/get_token", "", nil, stack.AdminName, stack.AdminPassword) })
		})
	})
}
