// SPDX-License-Identifier: Apache-2.0

// The sample in a real browser: two tabs of one session stay in step, and leave together.

package interop

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// signIn signs in on the page that a tab was sent to.
func signIn(t *testing.T, tab context.Context, url, user, password string) {
	t.Helper()
	do(t, tab, chromedp.Navigate(url))
	until(t, tab, `location.pathname == "/signin"`)
	do(t, tab,
		chromedp.SendKeys("#user", user), chromedp.SendKeys("#password", password), chromedp.Click("button.main"))
	until(t, tab, `document.querySelectorAll("button.seat").length > 50`)
}

// click clicks what a selector finds, by script: it may be out of sight.
func click(t *testing.T, tab context.Context, selector string) {
	t.Helper()
	until(t, tab, fmt.Sprintf("document.querySelector(%q)?.disabled === false", selector))
	until(t, tab, fmt.Sprintf("(document.querySelector(%q).click(), true)", selector))
}

// choose sets the permit, and saves.
func choose(t *testing.T, tab context.Context, permit string) {
	t.Helper()
	do(t, tab, chromedp.SetValue("#permit", permit))
	click(t, tab, "#account button")
}

func TestTwoTabsStayInStep(t *testing.T) {
	url := openBoxOffice(t).url
	first := openBrowser(t)
	signIn(t, first, url+"/", "ada", "analytical-engine")
	second := newTab(t, first)
	do(t, second, chromedp.Navigate(url+"/"))
	until(t, second, `document.querySelectorAll("button.seat.free").length > 50 && permit.value == "NJ"`)

	// A seat held in one tab is shown in the other.
	click(t, first, `[data-id="lyra-b4"]`)
	until(t, second, `document.querySelector("[data-id=lyra-b4]").className == "seat mine"`)
	click(t, second, "#held .main")
	until(t, first, `document.querySelector("[data-id=lyra-b4]").className == "seat bought"`)
	until(t, first, `left.textContent.startsWith("70.00 spent of 300.00")`)

	// A change of the account in one tab reaches the other by its heartbeat, and the services at once.
	choose(t, first, "PA")
	until(t, second, `permit.value == "PA"`)
	until(t, second, `messages.textContent.includes("changed in another tab")`)
	click(t, second, `[data-id="lyra-c1"]`)
	until(t, second, `messages.textContent.includes("This show is in NJ, your permit is for PA")`)
	click(t, second, `[data-id="tempest-a3"]`)
	until(t, first, `document.querySelector("[data-id=tempest-a3]").className == "seat mine"`)

	// Signing out in one tab takes the other along.
	click(t, first, ".who button")
	until(t, first, `location.pathname == "/signin" && document.body.innerText.includes("You are signed out")`)
	until(t, second, `location.pathname == "/signin" && document.body.innerText.includes("You are signed out")`)
	do(t, second, chromedp.Navigate(url+"/"))
	until(t, second, `location.pathname == "/signin"`)
}

func TestLivePageShowsAndRevokes(t *testing.T) {
	url := openBoxOffice(t).url
	shop := openBrowser(t)
	signIn(t, shop, url+"/", "ben", "kite-and-key")
	live := newTab(t, shop)
	do(t, live, chromedp.Navigate(url+"/live"))
	until(t, live, `document.querySelectorAll(".verifier").length == 3 && document.querySelector(".session")`)
	until(t, live, `[...document.querySelectorAll(".verifier .age")].every((e) => /^[01][.][0-9] s/.test(e.textContent))`)
	for _, want := range []string{"session.started", "subject.changed"} {
		if !strings.Contains(text(t, live), want) {
			t.Errorf("the page does not show %s", want)
		}
	}

	until(t, live, `document.querySelector(".subject .hint").textContent.includes("limit 150.00, permit PA")`)
	until(t, live, `[...document.querySelectorAll(".verdicts .tag")].some((e) => e.textContent == "200 · passport good")`)

	// A service whose feed hangs closes, route by route, says why, and opens again. Buying goes on.
	click(t, shop, `[data-id="tempest-a2"]`)
	until(t, shop, `document.querySelector("#held button")?.disabled === false`)
	click(t, live, `[aria-label="seats"] > button`)
	until(t, live, `document.querySelector('[aria-label="seats"] .routes').innerText.includes("closed")`)
	click(t, shop, `[data-id="tempest-a1"]`)
	until(t, shop, `/^Not now: the seats service has not heard from the authority for [0-9.]+\s+s and cannot know whether `+
		`your permit still stands. Nothing was held.$/.test(messages.textContent)`)
	picture(t, shop, "lost-touch")
	until(t, shop, `!document.getElementById("read-only").hidden`)
	until(t, shop, `document.querySelector("#held button").disabled && `+
		`document.querySelector("[data-id=tempest-a1]").disabled`)
	picture(t, shop, "read-only")
	until(t, shop, `document.querySelector("#held .main").disabled === false`)
	until(t, live, `!document.querySelector('[aria-label="seats"] .routes').innerText.match(/closed|asks|read only/)`)
	until(t, shop, `document.getElementById("read-only").hidden`)
	click(t, shop, `[data-id="tempest-a1"]`)
	until(t, shop, `document.querySelector("[data-id=tempest-a1]").className == "seat mine"`)

	// A session that is revoked here ends there.
	click(t, live, ".session button")
	until(t, shop, `location.pathname == "/signin"`)
	until(t, live, `document.querySelector("#events").innerText.includes("session.ended")`)
}

// TestPagesInPictures saves pictures for people to look at, and checks what a machine can: nothing is wider than the
// window, and nothing is refused by the policy.
func TestPagesInPictures(t *testing.T) {
	url := openBoxOffice(t).url
	tab := openBrowser(t)
	do(t, tab, chromedp.Navigate(url+"/signin"))
	pictures := func(page string) {
		for _, scheme := range []string{"light", "dark"} {
			look(t, tab, scheme, 1200, 900)
			picture(t, tab, page+"-"+scheme)
		}
		look(t, tab, "light", 375, 740)
		until(t, tab, `document.documentElement.scrollWidth <= innerWidth`)
		picture(t, tab, page+"-phone")
		look(t, tab, "light", 1200, 900)
	}
	pictures("signin")
	signIn(t, tab, url+"/", "ada", "analytical-engine")
	for _, id := range []string{"lyra-a1", "lyra-b4", "lyra-b5"} {
		click(t, tab, fmt.Sprintf(`[data-id="%s"]`, id))
		until(t, tab, fmt.Sprintf(`document.querySelector("[data-id=%s]").className == "seat mine"`, id))
	}
	click(t, tab, "#held .main")
	until(t, tab, `document.querySelector("[data-id=lyra-a1]").className == "seat bought"`)
	pictures("shop")
	do(t, tab, chromedp.Navigate(url+"/live"))
	until(t, tab, `document.querySelectorAll(".verifier .verdicts li").length > 3 && document.querySelector(".session")`)
	pictures("live")
	look(t, tab, "light", 375, 740)
	until(t, tab, `((box) => box.scrollWidth <= box.clientWidth)(document.querySelector(".scroll"))`)
	look(t, tab, "light", 1200, 900)
	click(t, tab, `[aria-label="seats"] > button`)
	until(t, tab, `document.querySelector('[aria-label="seats"] .routes').innerText.includes("read only")`)
	picture(t, tab, "live-paused")
	do(t, tab, chromedp.Navigate(url+"/"))
	until(t, tab, `!document.getElementById("read-only").hidden`)
	picture(t, tab, "shop-stale")
	look(t, tab, "dark", 375, 740)
	picture(t, tab, "shop-stale-phone-dark")
}
