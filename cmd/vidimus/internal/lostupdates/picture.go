// SPDX-License-Identifier: Apache-2.0

// The picture of the results.

package lostupdates

import (
	"cmp"
	"fmt"
	"image/color"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/vidimus/cmd/vidimus/internal/canvas"
)

// Title names the picture.
const Title = "Acknowledged writes that were lost"

const (
	pictureWidth, pictureHeight = 1200, 690
	margin                      = 56.0
	pictureScale                = 2
)

// palette is the colours of the picture, with enough contrast on white for text.
type palette struct {
	ink, soft, grid, ground color.RGBA
	ways                    map[Way]color.RGBA
}

func colours() palette {
	return palette{
		ink: rgb(0x1d2330), soft: rgb(0x5f6878), grid: rgb(0xe3e6ec), ground: rgb(0xffffff),
		ways: map[Way]color.RGBA{Cookie: rgb(0xc2502e), Store: rgb(0xb8791a), Vidimus: rgb(0x16786c)},
	}
}

func rgb(hex uint32) color.RGBA {
	return color.RGBA{R: uint8(hex >> 16), G: uint8(hex >> 8), B: uint8(hex), A: 0xff}
}

// Name is a way in words.
func (w Way) Name() string {
	switch w {
	case Cookie:
		return "JWE state cookie"
	case Store:
		return "server-side session store"
	case Vidimus:
		return "Vidimus"
	}
	return string(w)
}

// picture draws results.
type picture struct {
	*canvas.Canvas
	palette
	results []Result
	ways    []Way
	tabs    []int
}

// WriteSVG draws the results of a run as SVG. The command is written below them, so that whoever sees the picture can
// run it. It returns the error of w.
func WriteSVG(w io.Writer, results []Result, command string) error {
	return draw(results, command).SVG(w, Title)
}

// WritePNG draws the results as PNG, twice as large as the SVG. It returns the error of w.
func WritePNG(w io.Writer, results []Result, command string) error {
	return draw(results, command).PNG(w, pictureScale)
}

func draw(results []Result, command string) *canvas.Canvas {
	p := picture{palette: colours(), results: results}
	p.Canvas = canvas.New(pictureWidth, pictureHeight, p.ground)
	for _, r := range results {
		if !slices.Contains(p.ways, r.Way) {
			p.ways = append(p.ways, r.Way)
		}
		if !slices.Contains(p.tabs, r.Tabs) {
			p.tabs = append(p.tabs, r.Tabs)
		}
	}
	p.head()
	p.shares(margin+52, 176, 636, 400)
	p.oldest(840, 176, pictureWidth-margin-840)
	p.logouts(840, 404, pictureWidth-margin-840)
	p.Text(margin, pictureHeight-28, "$ "+command, canvas.Font{Size: 14, Mono: true}, canvas.Left, p.soft)
	return p.Canvas
}

func (p *picture) head() {
	p.Text(margin, 66, Title, canvas.Font{Size: 32, Bold: true}, canvas.Left, p.ink)
	kept := 0
	for _, r := range p.results {
		kept = max(kept, r.Kept)
	}
	sub := "One browser puts items into its cart from several tabs at once. Every write counted here was answered " +
		"with “kept”; " + strconv.Itoa(kept) + " for each bar."
	p.Text(margin, 96, sub, canvas.Font{Size: 16}, canvas.Left, p.soft)
	x, words := margin, canvas.Font{Size: 16}
	for _, w := range p.ways {
		p.Box(x, 118, 14, 14, p.palette.ways[w])
		p.Text(x+22, 131, w.Name(), words, canvas.Left, p.ink)
		x += 52 + canvas.Width(w.Name(), words)
	}
}

// shares draws how much was lost, a group of bars for every number of tabs.
func (p *picture) shares(x, y, w, h float64) {
	for percent := 0; percent <= 100; percent += 25 {
		at := y + h*(1-float64(percent)/100)
		p.Line(x, at, x+w, at, 1, p.grid)
		p.Text(x-10, at+5, strconv.Itoa(percent)+" %", canvas.Font{Size: 14}, canvas.Right, p.soft)
	}
	group := w / float64(len(p.tabs))
	bar := min(64, group*0.8/float64(len(p.ways)))
	for g, tabs := range p.tabs {
		middle := x + group*(float64(g)+0.5)
		left := middle - bar*float64(len(p.ways))/2
		for i, way := range p.ways {
			r := p.find(way, tabs)
			at := left + bar*float64(i)
			high := max(2, h*r.Share()/100)
			p.Box(at+3, y+h-high, bar-6, high, p.palette.ways[way])
			label, f := percent(r.Share()), canvas.Font{Size: 15, Bold: true}
			if bar < 48 {
				label, f.Size = strconv.Itoa(int(r.Share()+0.5))+" %", 11
			}
			p.Text(at+bar/2, y+h-high-8, label, f, canvas.Middle, p.palette.ways[way])
		}
		p.Text(middle, y+h+26, plural(tabs, "tab"), canvas.Font{Size: 16}, canvas.Middle, p.ink)
	}
}

func (p *picture) find(way Way, tabs int) Result {
	for _, r := range p.results {
		if r.Way == way && r.Tabs == tabs {
			return r
		}
	}
	return Result{}
}

// oldest draws how old the most outdated read was.
func (p *picture) oldest(x, y, w float64) {
	p.Text(x, y, "Oldest stale read", canvas.Font{Size: 18, Bold: true}, canvas.Left, p.ink)
	p.Text(x, y+22, "of a limit that an operator changes meanwhile", canvas.Font{Size: 14}, canvas.Left, p.soft)
	longest := time.Duration(1)
	for _, r := range p.results {
		longest = max(longest, r.Oldest)
	}
	for i, way := range p.ways {
		r := slices.MaxFunc(p.of(way), func(a, b Result) int { return cmp.Compare(a.Oldest, b.Oldest) })
		label := Seconds(r.Oldest)
		if r.Bound > 0 {
			label += ", promised: " + Seconds(r.Bound)
		}
		p.bar(x, y+40+44*float64(i), w, float64(r.Oldest)/float64(longest), way, label)
	}
}

// logouts draws how many sign-outs were undone.
func (p *picture) logouts(x, y, w float64) {
	p.Text(x, y, "Sign-outs undone", canvas.Font{Size: 18, Bold: true}, canvas.Left, p.ink)
	p.Text(x, y+22, "by a request that was still at work", canvas.Font{Size: 14}, canvas.Left, p.soft)
	for i, way := range p.ways {
		undone, of := 0, 0
		for _, r := range p.of(way) {
			undone, of = undone+r.Undone, of+r.Logouts
		}
		label := fmt.Sprintf("%d of %d", undone, of)
		p.bar(x, y+40+44*float64(i), w, float64(undone)/float64(max(of, 1)), way, label)
	}
}

func (p *picture) of(way Way) []Result {
	return slices.DeleteFunc(slices.Clone(p.results), func(r Result) bool { return r.Way != way })
}

// bar draws one lying bar with its label behind or, if there is no room, in it.
func (p *picture) bar(x, y, w, share float64, way Way, label string) {
	long := max(2, w*min(share, 1))
	p.Box(x, y, long, 32, p.palette.ways[way])
	f := canvas.Font{Size: 15, Bold: true}
	if long > w*0.7 {
		p.Text(x+long-10, y+21, label, f, canvas.Right, p.ground)
		return
	}
	p.Text(x+long+10, y+21, label, f, canvas.Left, p.palette.ways[way])
}

func percent(share float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(share, 'f', 1, 64), ".0") + " %"
}

// Seconds writes a time as people read it.
func Seconds(d time.Duration) string {
	switch {
	case d == 0:
		return "none"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	}
	return strings.TrimSuffix(strconv.FormatFloat(d.Seconds(), 'f', 1, 64), ".0") + " s"
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
