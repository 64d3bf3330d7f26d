// SPDX-License-Identifier: Apache-2.0

// Package canvas draws boxes, lines and words once, and writes them as SVG and as PNG.
package canvas

import "image/color"

// Canvas is a drawing. The origin is at the top left; y grows downwards. It is for one goroutine.
type Canvas struct {
	width, height float64
	ground        color.RGBA
	shapes        []shape
}

// shape is a box if w is not 0, a line if it has a stroke, else text.
type shape struct {
	x, y, w, h, stroke float64
	x2, y2             float64
	colour             color.RGBA
	text               string
	font               Font
	align              Align
}

// Font is how words look.
type Font struct {
	Size float64
	Bold bool
	Mono bool
}

// Align says where the point of a text is, in the text.
type Align int

// The alignments. The point is always on the base line.
const (
	Left Align = iota
	Middle
	Right
)

// New returns an empty drawing of a size, on a ground.
func New(width, height int, ground color.RGBA) *Canvas {
	return &Canvas{width: float64(width), height: float64(height), ground: ground}
}

// Box fills a rectangle. One without an area draws nothing.
func (c *Canvas) Box(x, y, w, h float64, colour color.RGBA) {
	if w > 0 && h > 0 {
		c.shapes = append(c.shapes, shape{x: x, y: y, w: w, h: h, colour: colour})
	}
}

// Line draws a straight line of a width.
func (c *Canvas) Line(x1, y1, x2, y2, width float64, colour color.RGBA) {
	c.shapes = append(c.shapes, shape{x: x1, y: y1, x2: x2, y2: y2, stroke: width, colour: colour})
}

// Text writes words on one line.
func (c *Canvas) Text(x, y float64, text string, f Font, a Align, colour color.RGBA) {
	if text != "" {
		c.shapes = append(c.shapes, shape{x: x, y: y, text: text, font: f, align: a, colour: colour})
	}
}
