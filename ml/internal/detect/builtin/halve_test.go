package builtin

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPixelsAreMeansOfTheirFour(t *testing.T) {
	p := image.NewRGBA(image.Rect(0, 0, 3, 3))
	for i, v := range []uint8{10, 20, 30, 40, 51, 60, 70, 80, 90} {
		p.SetRGBA(i%3, i/3, color.RGBA{v, v + 1, v + 2, 255})
	}
	got, err := halve(p)
	if err != nil {
		t.Fatal(err)
	}
	// (10+20+40+51)/4 = 30.25, (30+60)/2 = 45, (70+80)/2 = 75, 90; blue first
	want := &halved{w: 2, h: 2, bgr: []uint8{32, 31, 30, 47, 46, 45, 77, 76, 75, 92, 91, 90}}
	want.show()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(halved{})); diff != "" {
		t.Error(diff)
	}
}

// TestChromaIsEnlargedSmoothly compares with libjpeg's way: enlarge chroma (fancy upsampling: 3/4 and 1/4), convert each pixel, average.
func TestChromaIsEnlargedSmoothly(t *testing.T) {
	for _, c := range []struct {
		ratio image.YCbCrSubsampleRatio
		x, y  int
	}{
		{image.YCbCrSubsampleRatio444, 1, 1}, {image.YCbCrSubsampleRatio422, 2, 1}, {image.YCbCrSubsampleRatio420, 2, 2},
		{image.YCbCrSubsampleRatio440, 1, 2},
	} {
		for _, size := range []image.Point{{16, 12}, {17, 13}, {1, 1}, {2, 5}} {
			t.Run(fmt.Sprint(c.ratio, size), func(t *testing.T) {
				p := image.NewYCbCr(image.Rectangle{Max: size}, c.ratio)
				rng := rand.New(rand.NewPCG(3, 4))
				for i := range p.Y {
					p.Y[i] = uint8(100 + rng.IntN(60))
				}
				for i := range p.Cb {
					p.Cb[i], p.Cr[i] = uint8(108+rng.IntN(40)), uint8(108+rng.IntN(40))
				}
				enlarged := func(plane []uint8, x, y int) float64 {
					sum := 0.0
					for _, v := range smooth(y, c.y, (size.Y-1)/c.y) {
						for _, h := range smooth(x, c.x, (size.X-1)/c.x) {
							sum += v.weight * h.weight * float64(plane[v.at*p.CStride+h.at])
						}
					}
					return sum
				}
				got, err := halve(p)
				if err != nil {
					t.Fatal(err)
				}
				for y := range got.h {
					for x := range got.w {
						var want [3]float64
						for i := range 4 {
							xx, yy := min(2*x+i%2, size.X-1), min(2*y+i/2, size.Y-1)
							l := float64(p.Y[p.YOffset(xx, yy)])
							cb, cr := enlarged(p.Cb, xx, yy)-128, enlarged(p.Cr, xx, yy)-128
							want[0] += (l + 1.772*cb) / 4
							want[1] += (l - 0.344136*cb - 0.714136*cr) / 4
							want[2] += (l + 1.402*cr) / 4
						}
						for colour, w := range want {
							// an odd width's last pixel has the chroma of a whole pair
							allowed := 1.0
							if 2*x+1 >= size.X || 2*y+1 >= size.Y {
								allowed = 16
							}
							if g := float64(got.bgr[3*(y*got.w+x)+colour]); math.Abs(g-w) > allowed {
								t.Errorf("pixel %d, %d, colour %d: got %v, want %.1f", x, y, colour, g, w)
							}
						}
					}
				}
			})
		}
	}
}

type tap struct {
	at     int
	weight float64
}

// smooth gives the samples of chroma that make pixel i, where each covers so many pixels and the last is there.
func smooth(i, covers, last int) []tap {
	if covers == 1 {
		return []tap{{i, 1}}
	}
	other := max(i/2-1, 0)
	if i%2 == 1 {
		other = min(i/2+1, last)
	}
	return []tap{{i / 2, 0.75}, {other, 0.25}}
}

func TestPartsOfYCbCrPicturesAreHalvedLikeAnyPicture(t *testing.T) {
	ratios := []image.YCbCrSubsampleRatio{
		image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420, image.YCbCrSubsampleRatio440,
		image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410,
	}
	for _, ratio := range ratios {
		// Chroma that changes slowly: enlarged smoothly or not makes next to no difference.
		whole := image.NewYCbCr(image.Rect(0, 0, 64, 48), ratio)
		for y := range 48 {
			for x := range 64 {
				whole.Y[whole.YOffset(x, y)] = uint8(80 + (x*7+y*5)%90)
				whole.Cb[whole.COffset(x, y)] = uint8(120 + x/8)
				whole.Cr[whole.COffset(x, y)] = uint8(125 + y/8)
			}
		}
		for _, r := range []image.Rectangle{image.Rect(0, 0, 64, 48), image.Rect(3, 5, 34, 36), image.Rect(8, 4, 41, 27), image.Rect(63, 47, 64, 48)} {
			part := whole.SubImage(r)
			plain := image.NewRGBA(r)
			draw.Draw(plain, r, part, r.Min, draw.Src)
			got, err := halve(part)
			if err != nil {
				t.Fatal(err)
			}
			want, err := halve(plain)
			if err != nil {
				t.Fatal(err)
			}
			worst := 0
			for i, v := range want.bgr {
				worst = max(worst, int(v)-int(got.bgr[i]), int(got.bgr[i])-int(v))
			}
			if len(got.bgr) != len(want.bgr) || worst > 3 {
				t.Errorf("%v %v: off by up to %d", ratio, r, worst)
			}
		}
	}
}

func TestTheMarginIsAReflection(t *testing.T) {
	for n, want := range map[int][]int{
		1: {0, 0, 0, 0, 0, 0, 0},
		2: {1, 0, 1, 0, 1, 0, 1},
		4: {3, 2, 1, 0, 1, 2, 3},
		3: {1, 2, 1, 0, 1, 2, 1},
	} {
		var got []int
		for i := -3; i <= 3; i++ {
			got = append(got, reflect(i, n))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("of %d pixels: %s", n, diff)
		}
	}
}

func TestHazyPhotographsAreShownWithMoreContrast(t *testing.T) {
	for name, c := range map[string]struct {
		insects uint8 // their brightness, on a card of 200
		want    float32
	}{
		"clear: as it is":                {40, 40},
		"on the bound: as it is":         {60, 60},
		"hazy: down to 0.3 of the card":  {110, 60},
		"very hazy: 2.5 times as much":   {150, 75},
		"nothing on the card: no matter": {200, 200},
	} {
		t.Run(name, func(t *testing.T) {
			p := image.NewGray(image.Rect(0, 0, 200, 100))
			for i := range p.Pix {
				p.Pix[i] = 200
			}
			for y := range 10 {
				for x := range 10 {
					p.SetGray(50+x, 40+y, color.Gray{c.insects})
				}
			}
			got, err := halve(p)
			if err != nil {
				t.Fatal(err)
			}
			row := make([]float32, 3*100)
			got.row(0, 22, row)
			for i, want := range map[int]float32{0: 200, 3 * 27: c.want, 3*27 + 2: c.want} {
				if math.Abs(float64(row[i]*255-want)) > 0.01 {
					t.Errorf("number %d of the row is %v, want %v", i, row[i]*255, want)
				}
			}
		})
	}
}
