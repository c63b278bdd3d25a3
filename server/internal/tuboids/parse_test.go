package tuboids_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/server/internal/tuboids"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

const (
	seriesName = "08038ade.2020-07-08_20-00-00.2020-07-09_15-00-00.1606980656-91e2199fccf371d3d690b2856613e8f5"
	tuboidID   = seriesName + ".0028"
	infoText   = `{"device":"08038ade","start_datetime":"2020-07-08_20-00-00","end_datetime":"2020-07-09_15-00-00",` +
		`"algo_name":"sticky-pi-matcher","algo_version":"1606980656-91e2199fccf371d3d690b2856613e8f5","n_tuboids":2,"n_images":57}`
	metadataText = "08038ade.2020-07-09_03-16-42,2365.951742,1040.722412,3.796610\n08038ade.2020-07-09_03-35-26,2363.666195,1035.700778,3.393939\n"
)

var (
	seriesStart = time.Date(2020, 7, 8, 20, 0, 0, 0, time.UTC)
	seriesEnd   = time.Date(2020, 7, 9, 15, 0, 0, 0, time.UTC)
	theID       = tuboids.ID{Device: "08038ade", Start: seriesStart, End: seriesEnd, AlgoVersion: "1606980656-91e2199fccf371d3d690b2856613e8f5", Number: 28}
)

func wantInvalid(t *testing.T, what string, err error, words string) {
	t.Helper()
	var e *spi.Error
	if !errors.As(err, &e) || e.Code != spi.CodeInvalid || !strings.Contains(e.Message, words) {
		t.Errorf("%s: %v, want CodeInvalid that says %q", what, err, words)
	}
}

func TestParseIDReadsTheFiveFields(t *testing.T) {
	got, err := tuboids.ParseID(tuboidID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(theID, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for name, number := range map[string]int{
		"ABCDEF01.2020-01-01_00-00-00.2020-01-01_00-00-00.v_1-a.0000":      0,
		"08038ade.2020-01-01_00-00-00.2020-01-02_00-00-00.1.12345":         12345,
		"08038ade.2020-01-01_00-00-00.2020-01-02_00-00-00.1.2147483647":    1<<31 - 1,
		strings.Replace(tuboidID, "1606980656-", "1606980656-abc", 1):      28, // 100 characters
		"08038ade.1999-12-31_23-59-59.9999-12-31_23-59-59.9999999999.0001": 1,
	} {
		if id, err := tuboids.ParseID(name); err != nil || id.Number != number {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
}

func TestParseIDRefusesWhatIsNoName(t *testing.T) {
	for _, test := range []struct{ id, words string }{
		{"", "five fields"},
		{seriesName, "five fields"},
		{tuboidID + ".1", "five fields"},
		{strings.Replace(tuboidID, "1606980656-", "1606980656-abcd", 1), "at most 100"},
		{strings.Repeat("a.", 5000), "five fields"},
		{"0803_ade" + tuboidID[8:], "8 hexadecimal"},
		{"%%%%%%%%" + tuboidID[8:], "8 hexadecimal"},
		{"08038ad" + tuboidID[8:], "8 hexadecimal"},
		{strings.Replace(tuboidID, "2020-07-08_20-00-00", "2020-07-08T20:00:00Z", 1), "date and time"},
		{strings.Replace(tuboidID, "2020-07-08_20-00-00", "2020-07-08", 1), "date and time"},
		{strings.Replace(tuboidID, "2020-07-09", "2020-02-30", 1), "date and time"},
		{strings.Replace(tuboidID, "2020-07-09", "2020-07-07", 1), "ends before it starts"},
		{strings.Replace(tuboidID, "1606980656", "../../..", 1), "five fields"},
		{strings.Replace(tuboidID, "1606980656", "1606/80656", 1), "version"},
		{strings.Replace(tuboidID, "1606980656", "16é", 1), "version"},
		{strings.Replace(tuboidID, theID.AlgoVersion, "", 1), "version"},
		{strings.Replace(tuboidID, "1606980656", "1\x00", 1), "version"},
		{seriesName + ".28", "four digits"},
		{seriesName + ".00028", "four digits"},
		{seriesName + ".+028", "four digits"},
		{seriesName + ".-028", "four digits"},
		{seriesName + ".002a", "four digits"},
		{"08038ade.2020-01-01_00-00-00.2020-01-02_00-00-00.1.2147483648", "four digits"},
	} {
		_, err := tuboids.ParseID(test.id)
		wantInvalid(t, test.id, err, test.words)
	}
}

func TestParseInfoReadsWhatClientsSend(t *testing.T) {
	want := tuboids.Info{
		Device: "08038ade", Start: seriesStart, End: seriesEnd, AlgoName: "sticky-pi-matcher", AlgoVersion: theID.AlgoVersion,
		NTuboids: 2, NImages: 57, Format: new(spi.DateV1),
	}
	got, err := tuboids.ParseInfo([]byte(infoText))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	newer := strings.NewReplacer("2020-07-08_20-00-00", "2020-07-08T20:00:00Z", "2020-07-09_15-00-00", "2020-07-09T15:00:00Z", ":57}", `:57.0,"more":[{}]}`).Replace(infoText)
	want.Format = new(spi.DateV2)
	got, err = tuboids.ParseInfo([]byte(newer))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if err := got.Agrees(theID); err != nil {
		t.Error(err)
	}
}

func TestParseInfoNamesWhatIsWrong(t *testing.T) {
	for _, test := range []struct{ old, new, words string }{
		{infoText, ``, "JSON object"},
		{infoText, `null`, "JSON object"},
		{infoText, `[]`, "JSON object"},
		{infoText, `"text"`, "JSON object"},
		{infoText, infoText + `{}`, "JSON object"},
		{infoText, strings.Repeat(" ", 70_000) + infoText, "longer than"},
		{`"device":"08038ade",`, ``, "device is missing"},
		{`"08038ade"`, `null`, "device must be a string"},
		{`"08038ade"`, `["08038ade"]`, "device must be a string"},
		{`"2020-07-08_20-00-00"`, `"yesterday"`, "start_datetime"},
		{`"2020-07-08_20-00-00"`, `20200708`, "start_datetime must be a string"},
		{`"sticky-pi-matcher"`, `""`, "algo_name is empty"},
		{`"sticky-pi-matcher"`, `"` + strings.Repeat("n", 65) + `"`, "algo_name is longer than 64"},
		{`"sticky-pi-matcher"`, `"a\u0000b"`, "algo_name holds a character"},
		{`"sticky-pi-matcher"`, `"a\ud800b"`, "algo_name holds a character"},
		{`"n_tuboids":2`, `"n_tuboids":0`, "n_tuboids must be a whole number from 1"},
		{`"n_tuboids":2`, `"n_tuboids":"2"`, "n_tuboids must be a whole number"},
		{`"n_tuboids":2`, `"n_tuboids":2.5`, "n_tuboids must be a whole number"},
		{`"n_tuboids":2`, `"n_tuboids":1e999`, "n_tuboids must be a whole number"},
		{`"n_tuboids":2`, `"n_tuboids":2147483648`, "n_tuboids must be a whole number"},
		{`"n_images":57`, `"n_images":-1`, "n_images must be a whole number from 0"},
		{`"n_images":57`, `"n_images":null`, "n_images must be a whole number"},
		{`,"n_images":57`, ``, "n_images is missing"},
	} {
		_, err := tuboids.ParseInfo([]byte(strings.Replace(infoText, test.old, test.new, 1)))
		wantInvalid(t, test.new, err, test.words)
	}
}

func TestAgreesNamesTheFieldThatDiffers(t *testing.T) {
	for field, change := range map[string]func(*tuboids.Info){
		"device":         func(i *tuboids.Info) { i.Device = "08038adf" },
		"start_datetime": func(i *tuboids.Info) { i.Start = i.Start.Add(time.Second) },
		"end_datetime":   func(i *tuboids.Info) { i.End = i.End.Add(time.Second) },
		"algo_version":   func(i *tuboids.Info) { i.AlgoVersion += "0" },
	} {
		info, err := tuboids.ParseInfo([]byte(infoText))
		if err != nil {
			t.Fatal(err)
		}
		change(&info)
		wantInvalid(t, field, info.Agrees(theID), field+" is not that of the tuboid_id")
	}
}

func TestParseMetadataCountsShots(t *testing.T) {
	first, last := time.Date(2020, 7, 9, 3, 16, 42, 0, time.UTC), time.Date(2020, 7, 9, 3, 35, 26, 0, time.UTC)
	const early, late = "08038ade.2020-07-09_03-16-42,1,2,3", "08038ADE.2020-07-09T03:35:26Z,-1.5e-3,+2,.5"
	for text, want := range map[string]tuboids.Shots{
		metadataText:                         {N: 2, First: first, Last: last},
		early:                                {N: 1, First: first, Last: first},
		early + "\r\n" + late + "\r\n":       {N: 2, First: first, Last: last},
		late + "\n" + early + "\n" + late:    {N: 3, First: first, Last: last},
		"08038ade.2020-07-08_20-00-00,1,2,3": {N: 1, First: seriesStart, Last: seriesStart},
		"08038ade.2020-07-09_15-00-00,1,2,3": {N: 1, First: seriesEnd, Last: seriesEnd},
		"08038ade.2020-07-09,1,2,3":          {N: 1, First: seriesEnd.Truncate(24 * time.Hour), Last: seriesEnd.Truncate(24 * time.Hour)},
	} {
		got, err := tuboids.ParseMetadata([]byte(text), theID)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got)\n%s", text, err, diff)
		}
	}
}

func TestParseShotsGivesTheLines(t *testing.T) {
	got, err := tuboids.ParseShots([]byte(metadataText), theID)
	want := []tuboids.Shot{
		{At: time.Date(2020, 7, 9, 3, 16, 42, 0, time.UTC), X: 2365.951742, Y: 1040.722412, Scale: 3.796610},
		{At: time.Date(2020, 7, 9, 3, 35, 26, 0, time.UTC), X: 2363.666195, Y: 1035.700778, Scale: 3.393939},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	_, err = tuboids.ParseShots([]byte(metadataText+"no shot\n"), theID)
	wantInvalid(t, "a third line", err, "line 3")
}

func TestParseMetadataNamesTheLine(t *testing.T) {
	const good = "08038ade.2020-07-09_03-16-42,1,2,3"
	for _, test := range []struct{ text, words string }{
		{"", "no line"},
		{"\n", "line 1: must have four fields"},
		{good + "\n\n" + good, "line 2: must have four fields"},
		{good + ",4", "line 1: must have four fields"},
		{good + "\n" + strings.Repeat("a", 300), "line 2: is longer"},
		{"08038adf" + good[8:], "line 1: \"08038adf\" is not the series' device"},
		{good[8:], "is not the series' device"},
		{"08038ade,1,2,3", "is not a date"},
		{"08038ade.yesterday,1,2,3", "is not a date"},
		{good + "\n08038ade.2020-07-08_19-59-59,1,2,3\n" + good, "line 2: \"2020-07-08_19-59-59\" lies outside"},
		{"08038ade.2020-07-09_15-00-01,1,2,3", "lies outside"},
		{strings.Replace(good, ",2,", ",NaN,", 1), "not a finite number"},
		{strings.Replace(good, ",2,", ",-Inf,", 1), "not a finite number"},
		{strings.Replace(good, ",2,", ",1e400,", 1), "not a finite number"},
		{strings.Replace(good, ",2,", ",0x1p4,", 1), "not a finite number"},
		{strings.Replace(good, ",2,", ",1_0,", 1), "not a finite number"},
		{strings.Replace(good, ",2,", ",,", 1), "not a finite number"},
		{strings.Replace(good, ",2,", ", 2,", 1), "not a finite number"},
		{good + "\x00", "not a finite number"},
		{strings.Repeat(good+"\n", 100_001), "more than 100000 lines"},
	} {
		_, err := tuboids.ParseMetadata([]byte(test.text), theID)
		wantInvalid(t, fmt.Sprintf("%.60q", test.text), err, test.words)
	}
}

func FuzzParseID(f *testing.F) {
	for _, s := range []string{tuboidID, seriesName, "", "....", seriesName + ".12345", "\xff", seriesName + ".٠٠٢٨"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := tuboids.ParseID(s)
		if err != nil {
			wantInvalid(t, s, err, "tuboid_id")
			return
		}
		again := fmt.Sprintf("%s.%s.%s.%s.%04d", id.Device, spi.FormatDatetime(id.Start, spi.DateV1), spi.FormatDatetime(id.End, spi.DateV1), id.AlgoVersion, id.Number)
		if again != s || len(s) > 100 {
			t.Errorf("%q is read as %q", s, again)
		}
		if key := tuboids.Key(s, tuboids.Picture); key != "tiled_tuboids/"+s[:strings.LastIndex(s, ".")]+"/"+s+"/tuboid.jpg" {
			t.Errorf("its key is %q", key)
		}
	})
}

func FuzzParseInfo(f *testing.F) {
	for _, s := range []string{infoText, "", "null", "{}", `{"device":{}}`, "\xff\xfe", strings.Replace(infoText, "57", "1e5", 1)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		info, err := tuboids.ParseInfo(text)
		if err != nil {
			wantInvalid(t, string(text), err, "series_info")
			return
		}
		if info.NTuboids < 1 || info.NImages < 0 || info.AlgoName == "" || len([]rune(info.AlgoName)) > 64 {
			t.Errorf("%q is read as %+v", text, info)
		}
	})
}

func FuzzParseMetadata(f *testing.F) {
	for _, s := range []string{metadataText, "", "\n", "08038ade.2020-07-09,1,2,3", "08038ade.2020-07-09_03-16-42,NaN,Inf,0x1p-2", "\xff,,,"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		shots, err := tuboids.ParseMetadata(text, theID)
		if err != nil {
			wantInvalid(t, string(text), err, "metadata")
			return
		}
		lines := bytes.Count(text, []byte("\n"))
		if !bytes.HasSuffix(text, []byte("\n")) {
			lines++
		}
		if shots.N != lines || shots.Last.Before(shots.First) || shots.First.Before(seriesStart) || shots.Last.After(seriesEnd) {
			t.Errorf("%q is read as %+v", text, shots)
		}
	})
}
