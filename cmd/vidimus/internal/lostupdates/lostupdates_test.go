// SPDX-License-Identifier: Apache-2.0

// That the demonstration measures what it says.

package lostupdates

import (
	"bytes"
	"context"
	"errors"
	"image/png"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestUsualWaysLoseWhatParallelTabsWriteAndVidimusDoesNot(t *testing.T) {
	t.Parallel()
	told := make(chan Result, 6)
	cfg := Config{Clicks: 24, Tabs: []int{2, 6}, Logouts: 3, Seed: 7, Dir: t.TempDir(), Done: func(r Result) { told <- r }}
	results, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 6 || len(told) != 6 {
		t.Fatalf("%d results, %d told, want 6", len(results), len(told))
	}
	for i, r := range results {
		if want := []Way{Cookie, Store, Vidimus}[i/2]; r.Way != want || r.Tabs != cfg.Tabs[i%2] {
			t.Errorf("result %d is of %s with %d tabs", i, r.Way, r.Tabs)
		}
		if r.Kept != 24 || r.Logouts != 3 || r.Reads == 0 {
			t.Errorf("%+v: want 24 acknowledged writes, 3 sign-outs and some reads", r)
		}
		if r.Way == Vidimus {
			if r.Lost != 0 || r.Undone != 0 || r.Copies != 0 || r.Oldest > r.Bound || r.Bound != maxStale || r.Retries == 0 {
				t.Errorf("%+v: want nothing lost or undone, and what was refused decided again", r)
			}
			continue
		}
		// Of each round the write is left that was saved last. A slow machine may let one begin after another ended.
		if all := 24 * (r.Tabs - 1) / r.Tabs; r.Lost < all*3/4 || r.Lost > all || r.Undone == 0 {
			t.Errorf("%+v: want about %d lost, and sign-outs undone", r, all)
		}
		if r.Way == Cookie && (r.Stale == 0 || r.Copies != r.Logouts) {
			t.Errorf("%+v: want stale reads and copies that work, as nobody can reach a cookie", r)
		}
	}
}

func TestNothingIsLostByOneTab(t *testing.T) {
	t.Parallel()
	results, err := Run(t.Context(), Config{Clicks: 6, Tabs: []int{1}, Logouts: 1, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Kept != 6 || r.Lost != 0 {
			t.Errorf("%+v: want 6 kept and none lost", r)
		}
	}
}

func TestScriptDependsOnItsSeedAlone(t *testing.T) {
	t.Parallel()
	a := newScript(7, 100, 10, 6)
	if !reflect.DeepEqual(a, newScript(7, 100, 10, 6)) || reflect.DeepEqual(a, newScript(8, 100, 10, 6)) {
		t.Error("the script does not follow its seed")
	}
	clicks, slow, operated := 0, 0, 0
	for _, r := range a.rounds {
		clicks += len(r.work)
		if r.operate > 0 {
			operated++
		}
		for _, work := range r.work {
			if work > usual {
				slow++
			}
			if work < fastest || work > slowest {
				t.Errorf("a request works for %v", work)
			}
		}
	}
	if clicks != 100 || slow == 0 || slow > 30 || operated == 0 {
		t.Errorf("%d clicks, %d of them slow, %d changes by the operator", clicks, slow, operated)
	}
	// The values of the published generator, with a state of 0.
	if d := (dice{}); d.next() != 0xe220a8397b1dcdaf || d.next() != 0x6e789e6aa1b965f4 {
		t.Error("the dice are not splitmix64")
	}
}

func TestAgeCountsFromTheFirstValueThatIsMissing(t *testing.T) {
	t.Parallel()
	began := time.Now()
	var l timeline
	for value := range 3 {
		l.set(value, began.Add(time.Duration(value)*time.Second))
	}
	for shown, want := range map[int]time.Duration{0: 4 * time.Second, 1: 3 * time.Second, 2: 0, 3: 0} {
		if got := l.age(shown, began.Add(5*time.Second)); got != want {
			t.Errorf("showing %d after 5s is %v old, want %v", shown, got, want)
		}
	}
	if got := l.age(0, began.Add(500*time.Millisecond)); got != 0 {
		t.Errorf("a read that began before the change is %v old", got)
	}
}

func TestSettingsOutOfBoundsAreRefused(t *testing.T) {
	t.Parallel()
	for field, cfgs := range map[string][]Config{
		"clicks":  {{Clicks: -1}, {Clicks: MaxClicks + 1}},
		"logouts": {{Logouts: -1}, {Logouts: MaxLogouts + 1}},
		"tabs":    {{Tabs: []int{0}}, {Tabs: []int{17}}, {Tabs: []int{2, 1, 2}}, {Tabs: []int{1, 2, 3, 4, 5, 6, 7}}},
	} {
		for _, cfg := range cfgs {
			_, err := Run(t.Context(), cfg)
			if invalid, ok := errors.AsType[*InvalidError](err); !ok || invalid.Field != field {
				t.Errorf("%+v was answered %v, want %s refused", cfg, err, field)
			}
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := Run(ctx, Config{Clicks: MaxClicks, Dir: t.TempDir()}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
}

func TestCookieOfAnotherShopIsRefused(t *testing.T) {
	t.Parallel()
	var keepers [2]*cookieKeeper
	for i := range keepers {
		var err error
		if keepers[i], err = newCookieKeeper(); err != nil {
			t.Fatal(err)
		}
	}
	sealed := keepers[0].seal([]byte(`{"customer":"ada"}`))
	if text, err := keepers[0].open(sealed); err != nil || string(text) != `{"customer":"ada"}` {
		t.Fatalf("read back %q, %v", text, err)
	}
	parts := strings.Split(sealed, ".")
	for name, value := range map[string]string{
		"empty":          "",
		"another header": encode([]byte(`{"alg":"none"}`)) + strings.TrimPrefix(sealed, parts[0]),
		"a key in it":    strings.Replace(sealed, "..", ".AAAA.", 1),
		"short vector":   strings.Replace(sealed, parts[2], "AAAA", 1),
		"cut tag":        sealed[:len(sealed)-4],
		"no base64":      strings.Replace(sealed, parts[3], "***", 1),
	} {
		if text, err := keepers[0].open(value); err == nil {
			t.Errorf("%s: read as %q", name, text)
		}
	}
	if _, err := keepers[1].open(sealed); err == nil {
		t.Error("a cookie was opened with the key of another shop")
	}
}

func TestBrowserTellsWhatNoShopShouldAnswer(t *testing.T) {
	t.Parallel()
	url, stop, err := listen(t.Context(), http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBrowser(url)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.signIn(t.Context()); err == nil || !strings.Contains(err.Error(), "was answered 404") {
		t.Errorf("got %v, want that 404 is no answer to a sign-in", err)
	}
	b.close()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestPictureNamesEveryResult(t *testing.T) {
	t.Parallel()
	var results []Result
	for _, way := range []Way{Cookie, Store, Vidimus} {
		for _, tabs := range []int{1, 2, 4, 6, 8, 16} {
			r := Result{Way: way, Tabs: tabs, Kept: 120, Lost: 120 * (tabs - 1) / tabs}
			r.Oldest = time.Duration(tabs) * time.Second
			r.Logouts, r.Undone = 12, 12
			if way == Vidimus {
				r.Lost, r.Undone, r.Oldest, r.Bound = 0, 0, 0, time.Second
			}
			results = append(results, r)
		}
	}
	var svg, raster bytes.Buffer
	if err := WriteSVG(&svg, results, "vidimus demo lost-updates --tabs 1,2"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		Title, "JWE state cookie", "server-side session store", ">Vidimus<", "16 tabs", "93 %", "72 of 72", "0 of 72",
		"none, promised: 1 s", "$ vidimus demo lost-updates --tabs 1,2",
	} {
		if !strings.Contains(svg.String(), want) {
			t.Errorf("no %q in the picture", want)
		}
	}
	if err := WritePNG(&raster, results, ""); err != nil {
		t.Fatal(err)
	}
	if image, err := png.Decode(&raster); err != nil || image.Bounds().Dx() != 2*pictureWidth {
		t.Errorf("got an image of %v, %v", image.Bounds(), err)
	}
}
