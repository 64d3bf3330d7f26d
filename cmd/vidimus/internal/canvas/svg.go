// SPDX-License-Identifier: Apache-2.0

// Writing a drawing as SVG: text stays text.

package canvas

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image/color"
	"io"
	"strconv"
)

const (
	sans = `Go, 'Helvetica Neue', Helvetica, Arial, sans-serif`
	mono = `'Go Mono', Menlo, Consolas, monospace`
)

// SVG writes the drawing as one SVG image, named by the title for those who cannot see it. It returns the error of w.
func (c *Canvas) SVG(w io.Writer, title string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 %s %s" width="%[1]s" height="%[2]s">`,
		number(c.width), number(c.height))
	b.WriteString("\n<title>" + escape(title) + "</title>\n")
	fmt.Fprintf(&b, `<rect width="%s" height="%s" fill="%s"/>`+"\n", number(c.width), number(c.height), hex(c.ground))
	for _, s := range c.shapes {
		b.WriteString(s.svg())
		b.WriteByte('\n')
	}
	b.WriteString("</svg>\n")
	_, err := w.Write(b.Bytes())
	return err
}

func (s shape) svg() string {
	switch {
	case s.w > 0:
		return fmt.Sprintf(`<rect x="%s" y="%s" width="%s" height="%s" fill="%s"/>`,
			number(s.x), number(s.y), number(s.w), number(s.h), hex(s.colour))
	case s.stroke > 0:
		return fmt.Sprintf(`<line x1="%s" y1="%s" x2="%s" y2="%s" stroke="%s" stroke-width="%s"/>`,
			number(s.x), number(s.y), number(s.x2), number(s.y2), hex(s.colour), number(s.stroke))
	}
	family, weight, anchor := sans, "", ""
	if s.font.Mono {
		family = mono
	}
	if s.font.Bold {
		weight = ` font-weight="bold"`
	}
	if s.align != Left {
		anchor = ` text-anchor="` + [...]string{"start", "middle", "end"}[s.align] + `"`
	}
	return fmt.Sprintf(`<text x="%s" y="%s" font-family="%s" font-size="%s"%s%s fill="%s">%s</text>`,
		number(s.x), number(s.y), family, number(s.font.Size), weight, anchor, hex(s.colour), escape(s.text))
}

// number writes a coordinate to a hundredth, without zeros that say nothing.
func number(f float64) string {
	return strconv.FormatFloat(float64(int64(f*100+0.5))/100, 'f', -1, 64)
}

func hex(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

func escape(text string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(text)) // a buffer takes everything
	return b.String()
}
