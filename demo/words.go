package demo

// application is one monitored application, as the user actions name it.
type application struct {
	name   string // as a management zone sees it
	json   string // the name, escaped
	domain string
	id     uint64 // of the entity
}

// The applications. Two of five begin with easyTravel, so that a zone can
// take a part of the sessions; one needs an escape in JSON, one is not ASCII.
var applications = []application{
	{"easyTravel Shop", "easyTravel Shop", "shop.easytravel.example", 0x7C0F_1A5E_22D4_90B1},
	{"easyTravel Partner Portal", "easyTravel Partner Portal", "partner.easytravel.example", 0x15D3_8E7A_6B90_CC24},
	{"Loans & Savings", `Loans \u0026 Savings`, "loans.bank.example", 0xA2B8_04F6_91E3_5D70},
	{"Meine Gemeinde Österreich", "Meine Gemeinde Österreich", "gemeinde.example", 0x3E91_C6D2_0F87_4BA5},
	{"support.example - browser clickpath - nightly", "support.example - browser clickpath - nightly", "support.example", 0xD04A_5B19_E7C8_3F62},
}

type place struct{ continent, country, region, city, ip, isp string }

var places = []place{
	{"Europe", "Austria", "Upper Austria", "Linz", "193.171.37.14", "ACOnet"},
	{"Europe", "Poland", "Łódzkie", "Łódź", "83.12.7.41", "Orange Polska"},
	{"Europe", "Spain", "Catalunya", "Barcelona", "2a0c:5a80:1203::7d1", "Digi Spain"},
	{"North America", "United States", "Michigan", "Detroit", "68.40.11.203", "Comcast Cable"},
	{"South America", "Brazil", "São Paulo", "São Paulo", "201.11.88.9", "Vivo"},
	{"Asia", "Japan", "東京都", "東京", "126.4.77.230", "SoftBank"},
	{"Africa", "Kenya", "Nairobi County", "Nairobi", "41.90.64.18", "Safaricom"},
	{"Oceania", "New Zealand", "Otago", "Dunedin", "2407:7000:9b04:5500::1f", "Spark NZ"},
}

type desktop struct{ kind, family, version, os, osVersion string }

var desktops = []desktop{
	{"Desktop Browser", "Chrome", "Chrome 143", "Windows", "Windows 11"},
	{"Desktop Browser", "Firefox", "Firefox 146", "Linux", "Ubuntu 24.04"},
	{"Desktop Browser", "Edge", "Microsoft Edge 143", "Windows", "Windows 11"},
	{"Mobile Browser", "Safari", "Mobile Safari 26", "iOS", "iOS 26.1"},
	{"Tablet Browser", "Chrome", "Chrome Mobile 142", "Android", "Android 16"},
}

type phone struct{ os, osVersion, manufacturer, model, app string }

var phones = []phone{
	{"Android", "Android 15", "Samsung", "Galaxy S24", "5.12.0"},
	{"Android", "Android 16", "Google", "Pixel 9", "5.12.1"},
	{"iOS", "iOS 26.1", "Apple", "iPhone 17", "5.11.3"},
	{"iOS", "iOS 18.7", "Apple", "iPhone 14 Pro", "5.9.0-rc2"},
}

type screen struct {
	width, height int
	resolution    string
}

var screens = []screen{
	{1920, 1080, "FHD"}, {2560, 1440, "QHD"}, {1366, 768, "HD"}, {1179, 2556, "FHD"}, {800, 1280, "WXGA"},
}

var (
	tenants     = []string{"fqk48291", "hzw05417", "nbd77310"}
	users       = []string{"anna.müller@mail.example", "j.o'connor", "guest-4711", "maria@shop.example", "x_\\\"nick\\\"_x"}
	plans       = []string{"free", "family", "gold"}
	carriers    = []string{"A1", "Vodafone", "T-Mobile", "NTT DOCOMO"}
	networks    = []string{"LTE", "NR", "UMTS"}
	connections = []string{"UNKNOWN", "WIFI", "MOBILE", "LAN"}
	endings     = []string{"TIMEOUT", "END_EVENT", "DURATION_LIMIT", "MAX_USER_ACTIONS"}
	experiences = []string{"SATISFIED", "TOLERATED", "FRUSTRATED"}
	apdexes     = []string{"SATISFIED", "TOLERATING", "FRUSTRATED", "UNKNOWN"}
	webTypes    = []string{"Load", "Xhr", "Custom"}
	goals       = []string{"Order placed", "Newsletter", "Account opened"}
	errorNames  = []string{"TypeError: basket.items is undefined", "HTTP 503 GET /api/v2/offers", "Uncaught (in promise) AbortError", `SyntaxError: unexpected token \"\u003c\"`}
	eventNames  = []string{"Pay now", "leave /checkout", `button \"Add to basket\"`, "anna.müller@mail.example"}
	eventTypes  = []string{"RageClick", "PageLeave", "UserTag", "BehavioralEvent"}
	steps       = []string{`click on \"Sign in\"`, "navigate to start page", "keystrokes on \\\"search\\\"", "select first offer"}
	touches     = []string{"Touch on Pay", "Loading Basket", "Swipe to offers", "AppStart (easyTravel)", `Touch on \"Suche\"`}
	pages       = []string{"/offers/list", "/checkout/payment", "/account/orders/detail", "/search/result", "/help/contact/form", "/home"}
	parameters  = []string{"ref", "campaign", "sort", "page", "variant"}
	trail       = "home > offers > city trips > hotel detail > reviews > gallery > basket > sign in > basket > address > payment > overview > confirmation > invoice > account > orders > order detail > help > contact > "
)
