// Package storetest is the suite that every implementation of internal/store passes. It is imported by tests alone.
package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Run runs the suite. open gives an empty store for each test and closes it at the test's end.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, store.Store)
	}{
		{"PingAnswers", testPing},
		{"CancelledRequestsSaySo", testCancelled},
		{"UsersAreFoundByNameWithoutCase", testUserByName},
		{"UsersKeepTheirValues", testUserValues},
		{"UsersAreFilteredAndOrderedByID", testUsersFilter},
		{"AddUsersMakesAllOrNone", testAddUsersConflicts},
		{"AddUsersRefusesWhatDoesNotFit", testAddUsersInvalid},
		{"DeleteUsersSparesTheCallerAndTheLastAdmin", testDeleteUsers},
		{"ConcurrentDeletionsLeaveAnAdmin", testDeleteUsersConcurrently},
		{"PasswordHashesAreReplaced", testPasswordHash},
		{"OneOfConcurrentSwapsWins", testSwapConcurrently},
		{"ImagesKeepTheirValues", testImageValues},
		{"DoublesComeBackBitByBit", testDoubles},
		{"ImagesThatDoNotFitAreRefused", testImageInvalid},
		{"AnImageIsStoredOnce", testImageConflict},
		{"ClaimsWaitForEachOther", testClaimWaits},
		{"WaitingForAClaimEndsWithTheContext", testClaimContext},
		{"OneOfManyClaimantsStoresTheImage", testClaimContention},
		{"ManyClaimsAtOnceLetReadersThrough", testManyClaims},
		{"ImagesAreFoundByKey", testImagesByKey},
		{"SeriesAreHalfOpenMergedAndOrdered", testSeries},
		{"SeriesAgreeWithThePlainDefinition", testSeriesModel},
		{"ManyElementsAreAnswered", testManyElements},
		{"CallbacksMayEndAndUseTheStore", testCallbacks},
		{"DeleteImagesDeletesOnlyTheKeys", testDeleteImages},
		{"ImagesStayWhereTheirObjectsCannotBeDeleted", testDeleteImagesFails},
		{"DeletionsAndUploadsExcludeEachOther", testDeleteImagesAndClaim},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// patience ends a test that hangs; no test measures time.
const patience = 5 * time.Minute

func background(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func wantCode(t *testing.T, err error, want spi.Code) {
	t.Helper()
	var typed *spi.Error
	if !errors.As(err, &typed) || typed.Code != want {
		t.Fatalf("error %v, want one of code %s", err, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("(-want +got)\n%s", diff)
	}
}

func text(s string) sql.Null[string]     { return sql.Null[string]{V: s, Valid: true} }
func number(f float64) sql.Null[float64] { return sql.Null[float64]{V: f, Valid: true} }

func at(s string) time.Time {
	at, _, err := spi.ParseDatetime(s)
	if err != nil {
		panic(err)
	}
	return at
}

// Image gives a row to store. Implementations' own tests use it too.
func Image(device string, datetime time.Time) store.Image {
	return store.Image{
		Device: device, Datetime: datetime, MD5: "9e6e908d9c29d332b511f8d5121857f8",
		ImageMetadata: store.ImageMetadata{Width: 1600, Height: 1200, Temp: number(21.9)},
		Provenance:    store.Provenance{DatetimeCreated: at("2024-05-01T10:00:00Z"), APIVersion: text("3.0.0"), APIUser: text("spi")},
	}
}

// Put stores an image.
func Put(t testing.TB, s store.Store, image store.Image) store.Image {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	claim, err := s.ClaimImage(ctx, image.Device, image.Datetime)
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Release()
	if err := claim.Commit(ctx, &image); err != nil {
		t.Fatal(err)
	}
	return image
}

func byKeys(t *testing.T, s store.Store, keys ...store.ImageKey) (found []store.Image) {
	t.Helper()
	must(t, s.Images(background(t), keys, func(i *store.Image) error {
		found = append(found, *i)
		return nil
	}))
	return found
}

func inSeries(t *testing.T, s store.Store, series ...store.Series) (found []store.Image) {
	t.Helper()
	must(t, s.ImageSeries(background(t), series, func(i *store.Image) error {
		found = append(found, *i)
		return nil
	}))
	return found
}

var always = store.Series{Device: "%", Start: at("2000-01-01"), End: at("2100-01-01")}

// names gives device and time of each image, for short comparisons.
func names(images []store.Image) []string {
	var n []string
	for _, i := range images {
		n = append(n, fmt.Sprintf("%s %s", i.Device, i.Datetime.Format("01-02 15:04:05")))
	}
	return n
}

func testPing(t *testing.T, s store.Store) {
	must(t, s.Ping(background(t)))
}

func testCancelled(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, claimErr := s.ClaimImage(ctx, "5c173ff2", at("2020-06-20"))
	_, userErr := s.UserByName(ctx, "spi")
	_, addErr := s.AddUsers(ctx, []store.User{user("spi")})
	key := []store.ImageKey{{Device: "5c173ff2", Datetime: at("2020-06-20")}}
	ignore := func(*store.Image) error { return nil }
	for name, err := range map[string]error{
		"Ping": s.Ping(ctx), "ClaimImage": claimErr, "UserByName": userErr, "AddUsers": addErr,
		"Images": s.Images(ctx, key, ignore), "ImageSeries": s.ImageSeries(ctx, []store.Series{always}, ignore),
		"DeleteImages": s.DeleteImages(ctx, key, func(context.Context, []store.Image) error { return nil }, ignore),
	} {
		var typed *spi.Error
		if !errors.Is(err, context.Canceled) || !errors.As(err, &typed) {
			t.Errorf("%s: %v, want a typed error that is context.Canceled", name, err)
		}
	}
}
