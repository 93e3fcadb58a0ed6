package demo

// Append appends session i, one JSON object without a line break, exactly
// Size(i) bytes. It allocates only to grow dst.
func (g *Generator) Append(dst []byte, i int) []byte {
	pcg, o := g.outline(i)
	s := writer{document: document{append(dst, '{')}, dice: dice{pcg}, outline: o, end: len(dst) + o.size}
	s.startTime = int(g.start) + 13*i + s.upTo(5_000)
	s.duration = 1_000 + s.upTo(1_200_000)
	s.identity(i)
	s.visitorFields()
	s.device()
	s.details()
	s.userActions()
	s.eventsAndErrors()
	s.outcome()
	s.journey()
	s.close('}')
	return s.bytes
}

// writer is one session on its way into memory.
type writer struct {
	document
	dice
	outline
	end       int // where the document has to end
	startTime int // milliseconds since 1970
	duration  int // milliseconds
	actions   int
}

// Reserves in bytes: what the parts that always come still need, and the
// largest size of the parts that come while there is room.
const (
	tailReserve     = 330 // outcome, journey and the brackets
	listReserve     = 40  // the names of the lists of events and errors
	shortAction     = 330
	mobileAction    = 880
	webAction       = 2_050
	eventReserve    = 250
	syntheticReserv = 260
)

func (s *writer) room() int { return s.end - len(s.bytes) - tailReserve }

func (s *writer) identity(i int) {
	s.text("tenantId", tenants[i%len(tenants)])
	s.name("userSessionId")
	s.bytes = append(s.bytes, '"')
	s.bytes = appendID(s.bytes, s.visitor, i)
	s.bytes = append(s.bytes, '"')
	s.number("startTime", s.startTime)
	s.number("endTime", s.startTime+s.duration)
	s.number("duration", s.duration)
}

func (s *writer) visitorFields() {
	s.entity("internalUserId", "17", s.Uint64())
	switch {
	case s.kind == synthetic:
		s.text("userType", "SYNTHETIC")
	case s.chance(4):
		s.text("userType", "ROBOT")
	default:
		s.text("userType", "REAL_USER")
	}
	if s.kind == mobile {
		s.text("applicationType", "MOBILE_APPLICATION")
	} else {
		s.text("applicationType", "WEB_APPLICATION")
	}
	s.flag("newUser", s.chance(30))
	p := pick(&s.dice, places)
	s.text("ip", p.ip)
	s.text("country", p.country)
	s.text("city", p.city)
	if s.size >= 1_600 {
		s.text("continent", p.continent)
		s.text("region", p.region)
		s.text("isp", p.isp)
	}
	if s.chance(40) && s.size >= 1_300 {
		s.text("userId", pick(&s.dice, users))
	}
}

func (s *writer) device() {
	switch s.kind {
	case mobile:
		p := pick(&s.dice, phones)
		s.text("osFamily", p.os)
		s.text("manufacturer", p.manufacturer)
		s.text("device", p.model)
		s.text("appVersion", p.app)
		if s.size >= 1_600 {
			s.text("osVersion", p.osVersion)
			s.text("carrier", pick(&s.dice, carriers))
			s.text("networkTechnology", pick(&s.dice, networks))
			s.flag("rootedOrJailbroken", s.chance(2))
			s.number("clientTimeOffset", s.upTo(2_000))
		}
	case synthetic:
		s.text("browserType", "Synthetic Agent")
		s.text("browserFamily", "Synthetic monitor")
		s.text("osFamily", "Linux")
		s.entity("browserMonitorId", "SYNTHETIC_TEST-", applications[s.app].id^0x5555)
		if s.size >= 1_600 {
			s.text("browserMonitorName", applications[s.app].json)
		}
	default:
		d := pick(&s.dice, desktops)
		s.text("browserType", d.kind)
		s.text("browserFamily", d.family)
		s.text("osFamily", d.os)
		if s.size >= 1_600 {
			s.text("browserMajorVersion", d.version)
			s.text("osVersion", d.osVersion)
			s.text("clientType", d.kind)
		}
	}
}

func (s *writer) details() {
	if s.size < 1_800 {
		return
	}
	sc := pick(&s.dice, screens)
	s.number("screenWidth", sc.width)
	s.number("screenHeight", sc.height)
	if sc.height > sc.width {
		s.text("screenOrientation", "PORTRAIT")
	} else {
		s.text("screenOrientation", "LANDSCAPE")
	}
	s.text("displayResolution", sc.resolution)
	s.text("connectionType", pick(&s.dice, connections))
	s.flag("hasSessionReplay", s.chance(10))
	s.number("totalLicenseCreditCount", s.upTo(2))
	if s.size < 2_600 {
		return
	}
	s.properties()
}

// properties are what an application reports about a session in its own words.
func (s *writer) properties() {
	s.open("longProperties", '[')
	s.openElement()
	s.text("key", "basket_items")
	s.number("value", s.upTo(30))
	s.close('}')
	s.close(']')
	s.open("doubleProperties", '[')
	s.openElement()
	s.text("key", "revenue")
	s.fraction("value", float64(s.upTo(250_000))/100, 2)
	s.close('}')
	s.close(']')
	s.empty("dateProperties")
}

// outcome closes a session: counts, why it ended and how it felt.
func (s *writer) outcome() {
	s.number("userActionCount", s.actions)
	s.number("totalErrorCount", s.upTo(4))
	s.flag("bounce", s.actions < 2)
	s.flag("hasError", s.chance(15))
	s.text("endReason", pick(&s.dice, endings))
	s.text("userExperienceScore", pick(&s.dice, experiences))
}

// journey is a property whose value takes up what is left, to the byte.
func (s *writer) journey() {
	s.open("stringProperties", '[')
	if s.size >= 2_600 {
		s.openElement()
		s.text("key", "plan")
		s.text("value", pick(&s.dice, plans))
		s.close('}')
	}
	s.openElement()
	s.text("key", "journey")
	s.open("value", '"')
	const closing = len(`"}]}`)
	for left := s.end - closing - len(s.bytes); left > 0; left = s.end - closing - len(s.bytes) {
		s.bytes = append(s.bytes, trail[:min(left, len(trail))]...)
	}
	s.close('"')
	s.close('}')
	s.close(']')
}
