// SPDX-License-Identifier: Apache-2.0

// Writing a drawing as PNG, with the Go fonts.

package canvas

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// maxScale bounds the size of an image.
const maxScale = 8

// PNG writes the drawing as an image that is scale times as large, for screens with fine pixels. It returns the error
// of w, or one for a scale that is not from 1 to 8.
func (c *Canvas) PNG(w io.Writer, scale float64) error {
	if !(scale >= 1 && scale <= maxScale) {
		return fmt.Errorf("canvas: a scale of %v; give 1 to %d", scale, maxScale)
	}
	p := painter{
		image: image.NewRGBA(image.Rect(0, 0, int(c.width*scale), int(c.height*scale))),
		scale: scale, fonts: map[Font]font.Face{},
	}
	draw.Draw(p.image, p.image.Bounds(), image.NewUniform(c.ground), image.Point{}, draw.Src)
	for _, s := range c.shapes {
		if err := p.paint(s); err != nil {
			return err
		}
	}
	return png.Encode(w, p.image)
}

type painter struct {
	image *image.RGBA
	scale float64
	fonts map[Font]font.Face
}

func (p *painter) paint(s shape) error {
	switch {
	case s.w > 0:
		p.fill(s.colour, s.x, s.y, s.x+s.w, s.y, s.x+s.w, s.y+s.h, s.x, s.y+s.h)
		return nil
	case s.stroke > 0:
		p.line(s)
		return nil
	}
	return p.write(s)
}

// line fills the thin rectangle that a line is.
func (p *painter) line(s shape) {
	dx, dy := s.x2-s.x, s.y2-s.y
	length := math.Hypot(dx, dy)
	if length == 0 {
		return
	}
	nx, ny := -dy/length*s.stroke/2, dx/length*s.stroke/2
	p.fill(s.colour, s.x+nx, s.y+ny, s.x2+nx, s.y2+ny, s.x2-nx, s.y2-ny, s.x-nx, s.y-ny)
}

// fill fills a polygon with smooth edges.
func (p *painter) fill(colour color.RGBA, points ...float64) {
	around := p.around(points)
	if around.Empty() {
		return
	}
	r := vector.NewRasterizer(around.Dx(), around.Dy())
	at := func(i int) (float32, float32) {
		return float32(points[i]*p.scale) - float32(around.Min.X), float32(points[i+1]*p.scale) - float32(around.Min.Y)
	}
	r.MoveTo(at(0))
	for i := 2; i < len(points); i += 2 {
		r.LineTo(at(i))
	}
	r.ClosePath()
	r.Draw(p.image, around, image.NewUniform(colour), image.Point{})
}

// around returns the pixels that a polygon may touch.
func (p *painter) around(points []float64) image.Rectangle {
	low, high := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for i, v := range points {
		low[i%2], high[i%2] = min(low[i%2], v*p.scale), max(high[i%2], v*p.scale)
	}
	r := image.Rect(int(low[0]), int(low[1]), int(math.Ceil(high[0])), int(math.Ceil(high[1])))
	return r.Intersect(p.image.Bounds())
}

func (p *painter) write(s shape) error {
	face, err := p.face(s.font)
	if err != nil {
		return err
	}
	x := fixed.Int26_6(s.x * p.scale * 64)
	switch width := font.MeasureString(face, s.text); s.align {
	case Middle:
		x -= width / 2
	case Right:
		x -= width
	case Left:
	}
	d := font.Drawer{
		Dst: p.image, Src: image.NewUniform(s.colour), Face: face,
		Dot: fixed.Point26_6{X: x, Y: fixed.Int26_6(s.y * p.scale * 64)},
	}
	d.DrawString(s.text)
	return nil
}

// Width returns about how wide a text is, in the unit of the canvas. An SVG may be shown with other fonts.
func Width(text string, f Font) float64 {
	face, err := (&painter{scale: 1, fonts: map[Font]font.Face{}}).face(f)
	if err != nil {
		return 0 // the fonts are part of the program, so this cannot be
	}
	return float64(font.MeasureString(face, text)) / 64
}

// face returns the Go font that fits, made once for each size.
func (p *painter) face(f Font) (font.Face, error) {
	if face := p.fonts[f]; face != nil {
		return face, nil
	}
	file := goregular.TTF
	switch {
	case f.Mono:
		file = gomono.TTF
	case f.Bold:
		file = gobold.TTF
	}
	parsed, err := opentype.Parse(file)
	if err != nil {
		return nil, err
	}
	options := opentype.FaceOptions{Size: f.Size * p.scale, DPI: 72, Hinting: font.HintingNone}
	face, err := opentype.NewFace(parsed, &options)
	if err != nil {
		return nil, err
	}
	p.fonts[f] = face
	return face, nil
}
