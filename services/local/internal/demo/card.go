package demo

import (
	"bytes"
	"hash/fnv"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"strconv"
	"time"
)

// How a card fills: what flies against it stays until somebody puts a new one in.
const (
	cardLife  = 7 * 24 * time.Hour
	maxOnCard = 70 // things: a bound of the time that a picture takes
)

// A thing sticks to a card. Its look comes from its seed.
type thing struct {
	seed   uint64
	insect bool // or debris
	x, y   float64
}

// onCard gives what sticks to a device's card at a time, the oldest first: the same whenever it is asked.
func onCard(device int, at time.Time) []thing {
	// the devices' cards are changed on different days
	shift := time.Duration(device) * 40 * time.Hour
	began := at.Add(shift).Truncate(cardLife).Add(-shift)
	var things []thing
	for slot := began; !slot.After(at) && len(things) < maxOnCard; slot = slot.Add(interval) {
		r := seeded(device, "arrivals", slot)
		// most insects fly at dusk
		hour := float64(slot.Hour()) + float64(slot.Minute())/60
		flying := 0.05 + 0.25*math.Exp(-(hour-20)*(hour-20)/4)
		for r.Float64() < flying && len(things) < maxOnCard {
			things = append(things, place(r, true))
		}
		if r.Float64() < 0.06 {
			things = append(things, place(r, false))
		}
	}
	return things
}

func place(r *rand.Rand, insect bool) thing {
	const edge = 60 // pixels: things as a whole
	return thing{seed: r.Uint64(), insect: insect, x: edge + r.Float64()*(width-2*edge), y: edge + r.Float64()*(height-2*edge)}
}

func seeded(device int, what string, at time.Time) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(strconv.Itoa(device) + what + strconv.FormatInt(at.Unix(), 10))) // never fails
	return rand.New(rand.NewPCG(h.Sum64(), 3))                                             //nolint:gosec // a picture, no secret
}

// picture gives the JPEG, without EXIF, of a device's card at a time: yellow, lit from behind, unevenly, with what sticks to it.
func picture(device int, at time.Time) []byte {
	p := image.NewRGBA(image.Rect(0, 0, width, height))
	light(p, device, at)
	for _, t := range onCard(device, at) {
		if t.insect {
			insect(p, t)
		} else {
			debris(p, t)
		}
	}
	grain(p, seeded(device, "grain", at))
	var b bytes.Buffer
	if err := jpeg.Encode(&b, p, &jpeg.Options{Quality: 85}); err != nil {
		panic(err) // a buffer takes everything, and the size is right
	}
	return b.Bytes()
}

// light paints the bare card. Where it is brightest wanders with the day.
func light(p *image.RGBA, device int, at time.Time) {
	day := 2 * math.Pi * float64(at.Hour()*60+at.Minute()) / 1440
	cx, cy := 0.5+0.12*math.Cos(day+float64(device)), 0.5+0.12*math.Sin(day+float64(device))
	columns := make([]float64, width)
	for x := range columns {
		d := float64(x)/width - cx
		columns[x] = 0.22 * d * d
	}
	for y := range height {
		d := float64(y)/height - cy
		row := 1 - 0.22*d*d
		line := p.Pix[y*p.Stride:]
		for x := range width {
			l := row - columns[x]
			line[4*x], line[4*x+1], line[4*x+2], line[4*x+3] = uint8(186*l), uint8(204*l), uint8(72+30*(1-l)), 255
		}
	}
}

// grain adds the noise of a small sensor.
func grain(p *image.RGBA, r *rand.Rand) {
	for i := 0; i < len(p.Pix); i += 16 { // 4 pixels
		bits := r.Uint64()
		for k := i; k < i+16; k += 4 {
			n := int(bits&7) + int(bits>>3&7) - 7
			bits >>= 6
			for c := range 3 {
				p.Pix[k+c] = uint8(max(0, min(255, int(p.Pix[k+c])+n)))
			}
		}
	}
}

// brush paints shapes in the frame of a thing: along its body, from its middle, in units of half its length.
type brush struct {
	p                    *image.RGBA
	x, y, size, cos, sin float64
}

func newBrush(p *image.RGBA, t thing, r *rand.Rand, size float64) brush {
	turn := 2 * math.Pi * r.Float64()
	return brush{p: p, x: t.x, y: t.y, size: size, cos: math.Cos(turn), sin: math.Sin(turn)}
}

// paint covers the pixels of a shape with a colour. within says how far inside a point of the thing's frame lies, in its
// units, below 0 outside; radius bounds the shape.
func (b brush) paint(c color.RGBA, opacity, radius float64, within func(u, v float64) float64) {
	reach := int(math.Ceil(radius*b.size)) + 1
	area := image.Rect(int(b.x)-reach, int(b.y)-reach, int(b.x)+reach+1, int(b.y)+reach+1).Intersect(b.p.Rect)
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			dx, dy := (float64(x)-b.x)/b.size, (float64(y)-b.y)/b.size
			cover := within(dx*b.cos+dy*b.sin, dy*b.cos-dx*b.sin) * b.size
			if cover <= -0.5 {
				continue
			}
			a := opacity * min(1, cover+0.5) // half a pixel of blur
			at := b.p.PixOffset(x, y)
			for i, v := range [3]uint8{c.R, c.G, c.B} {
				b.p.Pix[at+i] = uint8(float64(b.p.Pix[at+i])*(1-a) + float64(v)*a)
			}
		}
	}
}

// ellipse gives a shape for paint.
func ellipse(cu, cv, a, b, turn float64) func(u, v float64) float64 {
	cos, sin := math.Cos(turn), math.Sin(turn)
	return func(u, v float64) float64 {
		u, v = u-cu, v-cv
		du, dv := (u*cos+v*sin)/a, (v*cos-u*sin)/b
		return (1 - math.Hypot(du, dv)) * min(a, b)
	}
}

// stroke gives a line of some width for paint.
func stroke(u0, v0, u1, v1, width float64) func(u, v float64) float64 {
	du, dv := u1-u0, v1-v0
	length := du*du + dv*dv
	return func(u, v float64) float64 {
		t := max(0, min(1, ((u-u0)*du+(v-v0)*dv)/length))
		return width/2 - math.Hypot(u-u0-t*du, v-v0-t*dv)
	}
}

// insect paints a fly: head, thorax and abdomen, two translucent wings, six legs.
func insect(p *image.RGBA, t thing) {
	r := rand.New(rand.NewPCG(t.seed, 4)) //nolint:gosec // a picture, no secret
	// pixels: half the length of the body; on half of a device's picture, smaller ones would be too small for the detector
	size := max(13, min(40, 18*math.Exp(0.35*r.NormFloat64())))
	b := newBrush(p, t, r, size)
	dark := uint8(12 + r.IntN(30))
	body := color.RGBA{dark + 18, dark + 10, dark, 255}
	slim := 0.24 + 0.14*r.Float64()
	spread := 0.35 + 0.5*r.Float64()
	for _, side := range []float64{-1, 1} {
		wing := ellipse(-0.55*math.Cos(spread), side*(0.15+0.65*math.Sin(spread)), 0.75, 0.24, side*(math.Pi-spread))
		b.paint(color.RGBA{96, 92, 40, 255}, 0.45, 2, wing)
		for k := range 3 {
			from, knee := 0.4-0.28*float64(k), 0.55-0.45*float64(k)+0.2*(r.Float64()-0.5)
			out := slim + 0.25 + 0.25*r.Float64()
			foot := knee + 0.3*(r.Float64()-0.5)
			leg := max(0.07, 1.6/size)
			b.paint(body, 0.85, 2, stroke(from, side*slim*0.6, knee, side*out, leg))
			b.paint(body, 0.85, 2, stroke(knee, side*out, foot, side*(out+0.35), leg))
		}
	}
	b.paint(body, 0.97, 2, ellipse(-0.45, 0, 0.55, slim, 0))
	b.paint(body, 0.97, 2, ellipse(0.28, 0, 0.36, slim*1.05, 0))
	b.paint(body, 0.97, 2, ellipse(0.72, 0, 0.2, slim*0.75, 0))
}

// debris paints what is no insect: a droplet, a speck of dust, a loose leg, a seed.
func debris(p *image.RGBA, t thing) {
	r := rand.New(rand.NewPCG(t.seed, 5)) //nolint:gosec // a picture, no secret
	switch r.IntN(4) {
	case 0:
		b := newBrush(p, t, r, 8+8*r.Float64())
		b.paint(color.RGBA{140, 155, 40, 255}, 0.5, 1.2, ellipse(0, 0, 1, 0.9, 0))
		b.paint(color.RGBA{215, 225, 120, 255}, 0.6, 1.2, ellipse(0.1, 0.1, 0.7, 0.6, 0))
	case 1:
		newBrush(p, t, r, 2+2*r.Float64()).paint(color.RGBA{70, 75, 30, 255}, 0.7, 1.2, ellipse(0, 0, 1, 0.7, 0))
	case 2:
		b := newBrush(p, t, r, 10+6*r.Float64())
		b.paint(color.RGBA{60, 55, 25, 255}, 0.8, 1.5, stroke(-1, 0, 0, 0.3, 0.12))
		b.paint(color.RGBA{60, 55, 25, 255}, 0.8, 1.5, stroke(0, 0.3, 0.9, -0.1, 0.1))
	default:
		newBrush(p, t, r, 9+4*r.Float64()).paint(color.RGBA{150, 130, 55, 255}, 0.85, 1.2, ellipse(0, 0, 1, 0.45, 0))
	}
}
