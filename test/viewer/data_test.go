package viewer

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/test/stack"
)

// The real photographs beside the project, and the one that gets contours.
const (
	realRange = "from=2020-06-15&to=2020-07-10"
	realImage = "0a5bb6f4.2020-06-20_20-37-59"
)

// address fills in the range of the real photographs.
func address(path string) string {
	return strings.NewReplacer("{range}", realRange, "{image}", realImage).Replace(path)
}

// start gives a server without a detector: what is found on images is the tests' own.
func start(t testing.TB) *stack.Stack {
	t.Helper()
	return stack.Local(t, stack.Options{Quiet: true, Environ: []string{"UID_WORKERS=0"}})
}

func client(t testing.TB, s *stack.Stack) *spi.Client {
	t.Helper()
	c, err := spi.New(s.URL, spi.WithPassword(stack.AdminName, stack.AdminPassword))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fillReal uploads the real photographs, and gives each a square found at the same place.
func fillReal(t testing.TB, s *stack.Stack) {
	t.Helper()
	c := client(t, s)
	files, err := filepath.Glob(filepath.Join(stack.SharedData(t, "raw_images"), "*.jpg"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no photographs: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		image, err := c.PutImage(t.Context(), spi.FileOf(filepath.Base(file), content))
		if err != nil {
			t.Fatal(err)
		}
		annotate(t, c, image, square(400, 300, 200), square(1200, 900, 300))
	}
}

// square is a contour as OpenCV gives it, in pixels of the original.
func square(x, y, side int) spi.Contour {
	return spi.Contour{{{x, y}}, {{x + side, y}}, {{x + side, y + side}}, {{x, y + side}}}
}

func annotate(t testing.TB, c *spi.Client, image spi.Image, contours ...spi.Contour) {
	t.Helper()
	document := spi.AnnotationDocument{Metadata: spi.AnnotationMetadata{
		AlgoName: spi.DetectorAlgorithm, AlgoVersion: "1598113346-ad2cd78dfaca12821046dfb8994724d5",
		Device: image.Device, Datetime: image.Datetime, MD5: image.MD5,
	}}
	for _, contour := range contours {
		document.Annotations = append(document.Annotations, spi.Outline{Contour: contour, Name: "insect", StrokeColour: "#0000ff", FillColour: "#ff0000"})
	}
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutAnnotations(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

func TestTimesAreShownInTheZoneThatIsChosenAndStayInIt(t *testing.T) {
	s := start(t)
	series(t, client(t, s), device, june, 2)
	b := open(t, s, desktop)
	b.logIn("/data?"+juneRange, stack.AdminName, stack.AdminPassword)
	const first = `(document.querySelector('.data-table tbody tr:not(.space)')?.innerText ?? '')`
	b.waitFor(first + `.includes('2022-06-01 00:00:00')`)
	b.choose(`.top .zone select`, "America/Vancouver")
	b.waitFor(first + `.includes('2022-05-31 17:00:00') && document.querySelector('.data-table thead').innerText.includes('America/Vancouver')`)
	b.look("zone-data")
	b.do(chromedp.Navigate(b.url + "/images?" + juneRange + "&image=" + device + ".2022-06-01_00-20-00"))
	b.waitFor(`document.querySelector('.image-head time')?.innerText === '2022-05-31 17:20:00 UTC−07:00'`)
	b.do(chromedp.KeyEvent(kb.Escape))
	b.waitFor(`document.querySelector('.image-view') === null`)
	b.look("zone-images")
	b.quiet()
}

// choose takes one of a list.
func (b *tab) choose(selector, value string) {
	b.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.value = %q; e.dispatchEvent(new Event('change', { bubbles: true })) })()`, selector, value)))
	if got := eval[string](b, fmt.Sprintf(`document.querySelector(%q).value`, selector)); got != value {
		b.Fatalf("there is no %q to choose", value)
	}
}
