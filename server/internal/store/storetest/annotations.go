package storetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// RunWork runs the suite of [store.Annotations] and [store.Work]. open gives an empty store for each test and closes it at
// the test's end.
func RunWork(t *testing.T, open func(t *testing.T) store.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, store.Store)
	}{
		{"AnnotationsKeepTheirValues", testAnnotationValues},
		{"AnnotationsAreStoredAllOrNone", testAnnotationsAllOrNone},
		{"AnnotationsThatDoNotFitAreRefused", testAnnotationInvalid},
		{"OneOfManyStoresAnAnnotation", testAnnotationContention},
		{"AnnotationsAgreeWithThePlainDefinition", testAnnotationModel},
		{"LargeAnnotationsComeWhole", testAnnotationsLarge},
		{"CallbacksOfAnnotationsMayEndAndUseTheStore", testAnnotationCallbacks},
		{"AnnotationsGoWithTheirImage", testAnnotationsOfDeletedImages},

		{"ImagesAreLeasedOnceNewestFirst", testLeaseOrder},
		{"TheLimitHoldsForAllSeriesTogether", testLeaseLimit},
		{"LeasesObeySeriesAndPatterns", testLeaseSeries},
		{"LeasesWithoutSenseAreRefused", testLeaseInvalid},
		{"LeasesEnd", testLeaseEnds},
		{"LeasesAreEnded", testEndLeases},
		{"WhatMayHaveEndedItsWorkerIsLeasedAloneAndFails", testSuspects},
		{"WhatEndedAnOldVersionsWorkerFailsToo", testSuspectsOfAnOldVersion},
		{"ProgressCountsByDeviceAndKnowsTheLastSignOfWork", testProgress},
		{"ProgressCountsNotMoreThanItMay", testProgressBound},
		{"ProgressKnowsTheLastFailureAndHowManyCameSinceAnAnnotation", testProgressFailures},
		{"ASuspectThatIsAnsweredForIsNoneAnyMore", testAnswersOfSuspects},
		{"ASuspectThatIsGivenBackLateIsNoneAnyMore", testLateGivingBack},
		{"AnImageIsEnteredByItsUpload", testUploads},
		{"OldAnnotationsCount", testOldAnnotations},
		{"AnAnnotationEndsTheWorkLeasedOrNot", testAnnotatedUnleased},
		{"ALaterVersionMakesAllWaitAgain", testVersions},
		{"AForgottenVersionHasNoWork", testForgetVersion},
		{"AnOldVersionsAnswerSparesANewVersionsLease", testLateAnswer},
		{"AlgorithmsDoNotConcernEachOther", testAlgorithms},
		{"FailedThriceIsListedAndNotLeased", testFailures},
		{"WhatIsGivenBackWaitsAgainAndHasNotFailed", testGivenBack},
		{"FailuresComeInOrder", testFailuresInOrder},
		{"AFailureSparesAnothersLease", testLateFailure},
		{"FailuresThatDoNotFitAreRefused", testFailureInvalid},
		{"ADeletedImageLeavesNoWork", testDeletedImage},
		{"ADeletedWorkersImagesWaitAtOnce", testDeletedWorker},
		{"BacklogCounts", testBacklog},
		{"ACrewAnnotatesEachImageOnce", testCrew},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

const uid = "sticky-pi-universal-insect-detector"

// Versions of the algorithm, oldest first.
const (
	version1 = "1598113346-ad2cd78dfaca12821046dfb8994724d5"
	version2 = "1650000000-00000000000000000000000000000002"
	version3 = "1700000000-00000000000000000000000000000003"
)

// Annotation gives an annotation to store. Implementations' own tests use it too.
func Annotation(i store.Image, algo, version string) store.NewAnnotation {
	return store.NewAnnotation{
		Device: i.Device, Datetime: i.Datetime, MD5: i.MD5,
		Annotation: store.Annotation{AlgoName: algo, AlgoVersion: version, NObjects: 1, JSON: []byte(`{"annotations": [{"name":"insect"}]}`),
			Provenance: store.Provenance{DatetimeCreated: at("2024-05-02T10:00:00Z"), APIVersion: text("3.0.0"), APIUser: text("uid")}},
	}
}

func annotate(t *testing.T, s store.Annotations, algo, version string, images ...store.Image) []store.Annotation {
	t.Helper()
	var all []store.NewAnnotation
	for _, i := range images {
		all = append(all, Annotation(i, algo, version))
	}
	added, err := s.AddAnnotations(background(t), all)
	must(t, err)
	return added
}

func annotationsIn(t *testing.T, s store.Annotations, withJSON bool, series ...store.Series) (found []store.Annotation) {
	t.Helper()
	must(t, s.AnnotationSeries(background(t), series, withJSON, func(a *store.Annotation) error {
		found = append(found, *a)
		return nil
	}))
	return found
}

func annotationsBy(t *testing.T, s store.Annotations, withJSON bool, keys ...store.ImageKey) (found []store.Annotation) {
	t.Helper()
	must(t, s.ImageAnnotations(background(t), keys, withJSON, func(a *store.Annotation) error {
		found = append(found, *a)
		return nil
	}))
	return found
}

func keyOf(i store.Image) store.ImageKey {
	return store.ImageKey{Device: i.Device, Datetime: i.Datetime}
}

// someImages stores n images of a device, a minute apart.
func someImages(t *testing.T, s store.Store, device string, n int) (images []store.Image) {
	t.Helper()
	for i := range n {
		images = append(images, Put(t, s, Image(device, at("2020-06-20").Add(time.Duration(i)*time.Minute))))
	}
	return images
}

func testAnnotationValues(t *testing.T, s store.Store) {
	images := someImages(t, s, "5C173ff2", 2)
	full := Annotation(images[1], "Ünïversal 日本", "no version")
	full.Device, full.MD5 = "5c173FF2", strings.ToUpper(images[1].MD5)
	full.NObjects = 1<<31 - 1
	full.JSON = []byte("{\"annotations\": [ ],\n\t\"a\": \"'\\\\ \\u0000 \\\" % ? é 日本 🐜 \"}  ")
	bare := store.NewAnnotation{Device: images[0].Device, Datetime: images[0].Datetime, MD5: images[0].MD5,
		Annotation: store.Annotation{AlgoName: "a", AlgoVersion: "1", JSON: []byte("{}"), Provenance: store.Provenance{DatetimeCreated: at("1999-12-31T23:59:59Z")}}}
	added, err := s.AddAnnotations(background(t), []store.NewAnnotation{full, bare})
	must(t, err)
	want := []store.Annotation{full.Annotation, bare.Annotation}
	want[0].ParentImageID, want[1].ParentImageID = images[1].ID, images[0].ID
	for i := range want {
		if added[i].ID <= 0 {
			t.Fatalf("id %d", added[i].ID)
		}
		want[i].ID = added[i].ID
	}
	equal(t, added, want)
	keys := []store.ImageKey{keyOf(images[0]), keyOf(images[1]), keyOf(images[0])}
	equal(t, annotationsBy(t, s, true, keys...), want)
	equal(t, annotationsIn(t, s, true, always), []store.Annotation{want[1], want[0]})
	want[0].JSON, want[1].JSON = nil, nil
	equal(t, annotationsBy(t, s, false, keys...), want)
	equal(t, annotationsIn(t, s, false, always), []store.Annotation{want[1], want[0]})
	none, err := s.AddAnnotations(background(t), nil)
	must(t, err)
	equal(t, len(none), 0)
}

func testAnnotationsAllOrNone(t *testing.T, s store.Store) {
	images := someImages(t, s, "5c173ff2", 3)
	there := annotate(t, s, uid, version1, images[0])
	good := Annotation(images[1], uid, version1)
	change := func(f func(*store.NewAnnotation)) store.NewAnnotation {
		n := Annotation(images[2], uid, version1)
		f(&n)
		return n
	}
	for name, test := range map[string]struct {
		second store.NewAnnotation
		want   spi.Code
	}{
		"an image that is not there":     {change(func(n *store.NewAnnotation) { n.Datetime = n.Datetime.Add(time.Second) }), spi.CodeNotFound},
		"a device that is not there":     {change(func(n *store.NewAnnotation) { n.Device = "5c173ff3" }), spi.CodeNotFound},
		"no pattern":                     {change(func(n *store.NewAnnotation) { n.Device = "%" }), spi.CodeNotFound},
		"a device that is no text":       {change(func(n *store.NewAnnotation) { n.Device = "\xff" }), spi.CodeNotFound},
		"a device with an accent":        {change(func(n *store.NewAnnotation) { n.Device = "5ç173ff2" }), spi.CodeNotFound},
		"between two seconds":            {change(func(n *store.NewAnnotation) { n.Datetime = n.Datetime.Add(time.Millisecond) }), spi.CodeNotFound},
		"another md5":                    {change(func(n *store.NewAnnotation) { n.MD5 = strings.Repeat("0", 32) }), spi.CodeConflict},
		"no md5":                         {change(func(n *store.NewAnnotation) { n.MD5 = "" }), spi.CodeConflict},
		"one that is there":              {Annotation(images[0], uid, version1), spi.CodeConflict},
		"one that is there, in capitals": {Annotation(images[0], strings.ToUpper(uid), strings.ToUpper(version1)), spi.CodeConflict},
		"the same twice":                 {good, spi.CodeConflict},
	} {
		_, err := s.AddAnnotations(background(t), []store.NewAnnotation{good, test.second})
		var typed *spi.Error
		if !errors.As(err, &typed) || typed.Code != test.want || !strings.HasPrefix(typed.Message, "element 1: ") {
			t.Errorf("%s: %v, want code %s of element 1", name, err, test.want)
		}
		equal(t, len(annotationsIn(t, s, false, always)), 1)
	}
	annotate(t, s, uid, version2, images[0])
	annotate(t, s, "another", version1, images[0])
	equal(t, annotationsBy(t, s, true, keyOf(images[0]))[:1], there)
}

func testAnnotationInvalid(t *testing.T, s store.Store) {
	image := someImages(t, s, "5c173ff2", 1)[0]
	for name, change := range map[string]func(*store.NewAnnotation){
		"no algorithm":              func(n *store.NewAnnotation) { n.AlgoName = "" },
		"an algorithm of 65 chars":  func(n *store.NewAnnotation) { n.AlgoName = strings.Repeat("a", 65) },
		"an algorithm with a blank": func(n *store.NewAnnotation) { n.AlgoName = "uid " },
		"no version":                func(n *store.NewAnnotation) { n.AlgoVersion = "" },
		"a version of 47 chars":     func(n *store.NewAnnotation) { n.AlgoVersion = strings.Repeat("1", 47) },
		"a version that is no text": func(n *store.NewAnnotation) { n.AlgoVersion = "1\xff" },
		"fewer objects than none":   func(n *store.NewAnnotation) { n.NObjects = -1 },
		"objects beyond 31 bits":    func(n *store.NewAnnotation) { n.NObjects = 1 << 31 },
		"json that is no text":      func(n *store.NewAnnotation) { n.JSON = []byte("{\"\xff\"}") },
		"json with a NUL":           func(n *store.NewAnnotation) { n.JSON = []byte("{\x00}") },
		"a maker of 33 characters":  func(n *store.NewAnnotation) { n.APIUser = text(strings.Repeat("m", 33)) },
	} {
		n := Annotation(image, uid, version1)
		change(&n)
		if _, err := s.AddAnnotations(background(t), []store.NewAnnotation{n}); err == nil || spi.CodeOf(err) != spi.CodeInvalid {
			t.Errorf("%s: %v, want CodeInvalid", name, err)
		}
	}
	n := Annotation(image, uid, version1)
	n.JSON = bytes.Repeat([]byte(" "), 8<<20+1)
	_, err := s.AddAnnotations(background(t), []store.NewAnnotation{n})
	wantCode(t, err, spi.CodeTooLarge)
	equal(t, len(annotationsIn(t, s, false, always)), 0)
}

func testAnnotationContention(t *testing.T, s store.Store) {
	images := someImages(t, s, "5c173ff2", 6)
	var wg sync.WaitGroup
	var mu sync.Mutex
	outcomes := make(map[string]int)
	for g := range 12 {
		wg.Go(func() {
			var all []store.NewAnnotation
			for i := range images { // in another order each
				all = append(all, Annotation(images[(i+g)%len(images)], uid, version1))
			}
			outcome := "stored"
			if _, err := s.AddAnnotations(background(t), all); err != nil {
				outcome = string(spi.CodeOf(err))
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[outcome]++
		})
	}
	wg.Wait()
	equal(t, outcomes, map[string]int{"stored": 1, "conflict": 11})
	equal(t, len(annotationsIn(t, s, false, always)), len(images))
}

// testAnnotationModel compares with the definition: all rows, filtered, each once, sorted.
func testAnnotationModel(t *testing.T, s store.Store) {
	r := rand.New(rand.NewPCG(9, 10))
	day := at("2020-06-20")
	devices := []string{"00000000", "0000000A", "0a0b0c0d", "a2345678", "FFFFFFF0", "a_%\\ b"}
	var images []store.Image
	for _, device := range devices {
		for m := range 12 {
			images = append(images, Image(device, day.Add(time.Duration(m)*time.Minute)))
		}
	}
	r.Shuffle(len(images), func(i, j int) { images[i], images[j] = images[j], images[i] })
	of := make(map[int64]store.Image)
	for i := range images {
		images[i] = Put(t, s, images[i])
		of[images[i].ID] = images[i]
	}
	var all []store.NewAnnotation
	for _, i := range images {
		for _, v := range []string{version1, version2, version3}[:r.IntN(4)] {
			n := Annotation(i, uid, v)
			n.NObjects = r.IntN(1000)
			n.JSON = []byte(fmt.Sprint(n.NObjects))
			all = append(all, n)
		}
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	rows, err := s.AddAnnotations(background(t), all)
	must(t, err)
	patterns := append([]string{"%", "0%", "0000000_", "f%", "a\\_%", "absent"}, devices[:5]...)
	for range 40 {
		var series []store.Series
		var keys []store.ImageKey
		for range 1 + r.IntN(6) {
			start := day.Add(time.Duration(r.IntN(14)-1) * time.Minute)
			device := patterns[r.IntN(len(patterns))]
			series = append(series, store.Series{Device: device, Start: start, End: start.Add(time.Duration(r.IntN(6)) * time.Minute)})
			keys = append(keys, store.ImageKey{Device: device, Datetime: start})
		}
		var wantSeries, wantKeys []store.Annotation
		for _, row := range rows {
			i := of[row.ParentImageID]
			if slices.ContainsFunc(series, func(o store.Series) bool {
				return store.Like(o.Device, i.Device) && !i.Datetime.Before(o.Start) && i.Datetime.Before(o.End)
			}) {
				wantSeries = append(wantSeries, row)
			}
			if slices.ContainsFunc(keys, func(k store.ImageKey) bool { return store.Like(k.Device, i.Device) && i.Datetime.Equal(k.Datetime) }) {
				wantKeys = append(wantKeys, row)
			}
		}
		slices.SortFunc(wantSeries, func(a, b store.Annotation) int {
			x, y := of[a.ParentImageID], of[b.ParentImageID]
			return cmp.Or(strings.Compare(strings.ToLower(x.Device), strings.ToLower(y.Device)), x.Datetime.Compare(y.Datetime), cmp.Compare(a.ID, b.ID))
		})
		slices.SortFunc(wantKeys, func(a, b store.Annotation) int { return cmp.Compare(a.ID, b.ID) })
		equal(t, annotationsIn(t, s, true, series...), wantSeries)
		equal(t, annotationsBy(t, s, true, keys...), wantKeys)
	}
}

func testAnnotationsLarge(t *testing.T, s store.Store) {
	// Small ones between large ones, so that what is read at once has to change.
	images := someImages(t, s, "5c173ff2", 120)
	want := make(map[int64][]byte)
	for k, i := range images {
		n := Annotation(i, uid, version1)
		size := 10
		switch {
		case k == 50:
			size = 7 << 20
		case k > 30 && k < 60 || k%20 == 0:
			size = 600 << 10
		}
		n.JSON = bytes.Repeat([]byte{byte('a' + k%26), '"'}, size/2)
		_, err := s.AddAnnotations(background(t), []store.NewAnnotation{n})
		must(t, err)
		want[i.ID] = n.JSON
	}
	for name, read := range map[string]func(func(*store.Annotation) error) error{
		"ImageAnnotations": func(fn func(*store.Annotation) error) error {
			var keys []store.ImageKey
			for _, i := range images {
				keys = append(keys, keyOf(i))
			}
			return s.ImageAnnotations(background(t), keys, true, fn)
		},
		"AnnotationSeries": func(fn func(*store.Annotation) error) error {
			return s.AnnotationSeries(background(t), []store.Series{always}, true, fn)
		},
	} {
		var seen []int64
		must(t, read(func(a *store.Annotation) error {
			seen = append(seen, a.ParentImageID)
			if !bytes.Equal(a.JSON, want[a.ParentImageID]) {
				t.Errorf("%s: json of image %d is not what was stored", name, a.ParentImageID)
			}
			return nil
		}))
		if len(seen) != len(images) || !slices.IsSorted(seen) {
			t.Errorf("%s: images %v", name, seen)
		}
	}
}

func testAnnotationCallbacks(t *testing.T, s store.Store) {
	images := someImages(t, s, "5c173ff2", 5)
	annotate(t, s, uid, version1, images...)
	stop := errors.New("enough")
	var keys []store.ImageKey
	for _, i := range images {
		keys = append(keys, keyOf(i))
	}
	for name, read := range map[string]func(func(*store.Annotation) error) error{
		"ImageAnnotations": func(fn func(*store.Annotation) error) error {
			return s.ImageAnnotations(background(t), keys, true, fn)
		},
		"AnnotationSeries": func(fn func(*store.Annotation) error) error {
			return s.AnnotationSeries(background(t), []store.Series{always}, true, fn)
		},
	} {
		calls := 0
		err := read(func(*store.Annotation) error {
			if calls++; calls == 3 {
				return stop
			}
			return nil
		})
		if !errors.Is(err, stop) || calls != 3 {
			t.Errorf("%s: %d calls, error %v", name, calls, err)
		}
		var wg sync.WaitGroup
		for range 40 {
			wg.Go(func() {
				if err := read(func(*store.Annotation) error {
					return s.ImageAnnotations(background(t), keys[:1], true, func(*store.Annotation) error { return nil })
				}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, addErr := s.AddAnnotations(ctx, []store.NewAnnotation{Annotation(images[0], uid, version2)})
	ignore := func(*store.Annotation) error { return nil }
	for name, err := range map[string]error{
		"AddAnnotations": addErr, "ImageAnnotations": s.ImageAnnotations(ctx, keys, true, ignore),
		"AnnotationSeries": s.AnnotationSeries(ctx, []store.Series{always}, true, ignore),
	} {
		var typed *spi.Error
		if !errors.Is(err, context.Canceled) || !errors.As(err, &typed) {
			t.Errorf("%s: %v, want a typed error that is context.Canceled", name, err)
		}
	}
}

func testAnnotationsOfDeletedImages(t *testing.T, s store.Store) {
	images := someImages(t, s, "5c173ff2", 3)
	annotate(t, s, uid, version1, images...)
	deleteImages(t, s, images[1])
	var parents []int64
	for _, a := range annotationsIn(t, s, true, always) {
		parents = append(parents, a.ParentImageID)
	}
	equal(t, parents, []int64{images[0].ID, images[2].ID})
}

func deleteImages(t *testing.T, s store.Store, images ...store.Image) {
	t.Helper()
	var keys []store.ImageKey
	for _, i := range images {
		keys = append(keys, keyOf(i))
	}
	must(t, s.DeleteImages(background(t), keys, func(context.Context, []store.Image) error { return nil }, func(*store.Image) error { return nil }))
}
