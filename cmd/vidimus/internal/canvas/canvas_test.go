// SPDX-License-Identifier: Apache-2.0

// That both forms of a drawing show the same.

package canvas_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image/color"
	"image/png"
	"io"
	"os"
	"strings"
	"testing"

	"example.com/vidimus/cmd/vidimus/internal/canvas"
)

var errWriter = errors.New("the disk is full")

// fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errWriter }

func white() color.RGBA { return color.RGBA{255, 255, 255, 255} }
func red() color.RGBA   { return color.RGBA{200, 0, 0, 255} }

func drawn() *canvas.Canvas {
	c := canvas.New(100, 50, white())
	c.Box(10, 10, 20, 30, red())
	c.Box(0, 0, 0, 10, red())
	c.Line(50, 0, 50, 50, 2, red())
	c.Text(60, 30, "a < b & c", canvas.Font{Size: 12, Bold: true}, canvas.Left, red())
	c.Text(60, 30, "", canvas.Font{Size: 12}, canvas.Left, red())
	return c
}

func TestPNGShowsWhatWasDrawn(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := drawn().PNG(&b, 2); err != nil {
		t.Fatal(err)
	}
	image, err := png.Decode(&b)
	if err != nil || image.Bounds().Dx() != 200 || image.Bounds().Dy() != 100 {
		t.Fatalf("got %v, %v, want an image of 200 by 100", image.Bounds(), err)
	}
	for at, want := range map[[2]int]color.RGBA{
		{1, 1}: white(), {21, 21}: red(), {59, 79}: red(), {61, 79}: white(), {99, 50}: red(), {101, 50}: white(),
	} {
		if got := color.RGBAModel.Convert(image.At(at[0], at[1])); at[0] != 101 && got != want {
			t.Errorf("the pixel at %v is %v, want %v", at, got, want)
		}
	}
	inked := 0
	for x := 120; x < 200; x++ {
		for y := range 100 {
			if r, g, _, _ := image.At(x, y).RGBA(); r != g {
				inked++
			}
		}
	}
	if inked < 200 {
		t.Errorf("the text has %d pixels, want some hundred", inked)
	}
}

func TestSVGIsWellFormed(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := drawn().SVG(&b, `"quotes" & <angles>`); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for decoder, elements := xml.NewDecoder(&b), 0; ; elements++ {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
	}
	for _, want := range []string{
		`<rect x="10" y="10" width="20" height="30" fill="#c80000"/>`, `stroke-width="2"`, `a &lt; b &amp; c</text>`,
		`font-weight="bold"`, `&lt;angles&gt;</title>`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if got := strings.Count(text, "<text"); got != 1 {
		t.Errorf("%d texts, want the one that is not empty", got)
	}
}

func TestTextStandsWhereItsAlignmentSays(t *testing.T) {
	t.Parallel()
	f := canvas.Font{Size: 20, Mono: true}
	width := canvas.Width("mmmm", f)
	for align, want := range map[canvas.Align]float64{
		canvas.Left: 100, canvas.Middle: 100 - width/2, canvas.Right: 100 - width,
	} {
		c := canvas.New(200, 40, white())
		c.Text(100, 30, "mmmm", f, align, red())
		var b bytes.Buffer
		if err := c.PNG(&b, 1); err != nil {
			t.Fatal(err)
		}
		image, err := png.Decode(&b)
		if err != nil {
			t.Fatal(err)
		}
		first := 0
		for inked := false; !inked; first++ {
			for y := range 40 {
				r, g, _, _ := image.At(first, y).RGBA()
				inked = inked || r != g
			}
		}
		if float64(first) < want-1 || float64(first) > want+4 {
			t.Errorf("alignment %d begins at %d, want %.0f", align, first, want)
		}
	}
}

func TestWritingSaysWhatWentWrong(t *testing.T) {
	t.Parallel()
	if err := drawn().SVG(fullDisk{}, "x"); !errors.Is(err, errWriter) {
		t.Errorf("SVG to a full disk: %v", err)
	}
	if err := drawn().PNG(fullDisk{}, 1); !errors.Is(err, errWriter) {
		t.Errorf("PNG to a full disk: %v", err)
	}
	if err := drawn().PNG(io.Discard, 9); err == nil || !strings.Contains(err.Error(), "1 to 8") {
		t.Errorf("a scale of 9: %v", err)
	}
}

func Example() {
	c := canvas.New(120, 20, color.RGBA{255, 255, 255, 255})
	c.Box(0, 0, 60, 20, color.RGBA{22, 120, 108, 255})
	if err := c.SVG(os.Stdout, "half"); err != nil {
		fmt.Println(err)
	}
	// Output:
	// <svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 120 20" width="120" height="20">
	// <title>half</title>
	// <rect width="120" height="20" fill="#ffffff"/>
	// <rect x="0" y="0" width="60" height="20" fill="#16786c"/>
	// </svg>
}
