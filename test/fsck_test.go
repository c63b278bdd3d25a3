package test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

func TestFsckFindsAndMendsWhileTheServerRuns(t *testing.T) {
	a := newAPI(t, stack.Production(t, stack.Options{}))
	fsck := func(status int, args []string, lines ...string) {
		t.Helper()
		got, out := a.Run(t.Context(), t, append([]string{"fsck"}, args...)...)
		if got != status {
			t.Errorf("fsck %v ends with %d, want %d:\n%s", args, got, status, out)
		}
		for _, line := range lines {
			if !strings.Contains(out, line) {
				t.Errorf("fsck %v does not say %q:\n%s", args, line, out)
			}
		}
	}
	device := newDevice()
	var photos []photo
	for i := range 3 {
		photos = append(photos, small(device, noon.Add(time.Duration(i)*time.Hour), uint64(i)))
	}
	a.put(photos...)
	fsck(0, []string{"--deep", "--repair", "--delete-objects", "--delete-rows"}, "3 images, 0 tuboids and 9 objects: 0 faults")

	b := bucketOf(t, a.Stack)
	remove := func(key string) {
		t.Helper()
		if _, err := b.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b.name, Key: aws.String(key)}); err != nil {
			t.Fatal(err)
		}
	}
	keys := keysOf(device, photos[1].at)
	remove(keys[1])
	fsck(1, nil, "missing-thumbnail "+keys[1], "1 fault, 0 mended", "1 fault remains")
	fsck(0, []string{"--repair"}, "missing-thumbnail "+keys[1], "(mended)", "1 fault, 1 mended")
	same(t, "objects", 3, len(b.objects(device, photos[1].at)))
	fsck(0, nil)

	remove(keys[0])
	fsck(1, []string{"--repair", "--delete-objects"}, "missing-original "+keys[0])
	fsck(0, []string{"--delete-rows"}, "missing-original "+keys[0], "(mended)")
	same(t, "images left", 2, len(a.call("/get_image_series/metadata", row{"device": device, "start_datetime": "2021-05-04", "end_datetime": "2021-05-05"}).rows()))
	same(t, "its objects", 0, len(b.objects(device, photos[1].at)))
	fsck(0, nil, "2 images, 0 tuboids and 6 objects: 0 faults")
}
