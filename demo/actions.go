package demo

import "strconv"

// userActions writes the list: at least one, then as many as there is room
// for, in the share of the document that this kind of session gives them.
func (s *writer) userActions() {
	s.open("userActions", '[')
	at := s.startTime
	for {
		app := &applications[s.app]
		if s.actions == 1 && s.other >= 0 {
			app = &applications[s.other]
		}
		room := s.room() - listReserve
		switch {
		case s.kind == mobile && room >= mobileAction:
			s.mobileAction(app, at)
		case s.kind != mobile && room >= webAction:
			s.webAction(app, at)
		case room >= shortAction || s.actions == 0:
			s.shortAction(app, at)
		default:
			s.close(']')
			return
		}
		s.actions++
		at += s.upTo(20_000)
	}
}

// shortAction has what every action has, and nothing else.
func (s *writer) shortAction(app *application, at int) {
	s.openElement()
	s.text("name", pick(&s.dice, touches))
	s.text("type", "Custom")
	s.span(at, 2_500)
	s.text("application", app.json)
	s.text("apdexCategory", pick(&s.dice, apdexes))
	s.close('}')
}

// span writes when an action began and ended.
func (s *writer) span(at, below int) {
	took := s.upTo(below)
	s.number("startTime", at)
	s.number("endTime", at+took)
	s.number("duration", took)
}

func (s *writer) mobileAction(app *application, at int) {
	s.openElement()
	s.text("name", pick(&s.dice, touches))
	s.text("type", "Custom")
	s.span(at, 4_000)
	s.text("application", app.json)
	s.entity("internalApplicationId", "MOBILE_APPLICATION-", app.id)
	s.text("apdexCategory", pick(&s.dice, apdexes))
	s.null("speedIndex")
	s.measured("networkTime", &s.dice, 40, 500)
	s.measured("serverTime", &s.dice, 40, 1_200)
	s.measured("frontendTime", &s.dice, 40, 1_200)
	s.null("documentInteractiveTime")
	s.null("visuallyCompleteTime")
	s.number("requestErrorCount", s.upTo(2))
	s.number("customErrorCount", s.upTo(2))
	s.flag("hasCrash", s.chance(1))
	s.flag("keyUserAction", s.chance(15))
	s.empty("stringProperties")
	s.empty("longProperties")
	s.number("userActionPropertyCount", 0)
	s.close('}')
}

func (s *writer) webAction(app *application, at int) {
	page := pick(&s.dice, pages)
	s.openElement()
	s.name("name")
	s.bytes = append(s.bytes, `"Loading of page `...)
	s.bytes = append(s.bytes, page...)
	s.close('"')
	s.text("type", pick(&s.dice, webTypes))
	s.text("domain", app.domain)
	s.targetURL(app.domain, page)
	s.span(at, 6_000)
	s.text("application", app.json)
	s.entity("internalApplicationId", "APPLICATION-", app.id)
	s.text("apdexCategory", pick(&s.dice, apdexes))
	s.timings(at)
	s.resources()
	s.number("requestErrorCount", s.upTo(2))
	s.number("javascriptErrorCount", s.upTo(2))
	s.number("customErrorCount", 0)
	s.flag("keyUserAction", s.chance(15))
	s.open("matchingConversionGoals", '[')
	if s.chance(5) {
		s.bytes = append(s.bytes, '"')
		s.bytes = append(s.bytes, pick(&s.dice, goals)...)
		s.close('"')
	}
	s.close(']')
	if s.kind == synthetic {
		s.text("syntheticEvent", pick(&s.dice, steps))
		s.entity("syntheticEventId", "SYNTHETIC_TEST_STEP-", s.Uint64())
	}
	s.empty("stringProperties")
	s.empty("longProperties")
	s.empty("doubleProperties")
	s.empty("dateProperties")
	s.number("userActionPropertyCount", 0)
	s.close('}')
}

func (s *writer) targetURL(domain, page string) {
	s.name("targetUrl")
	s.bytes = append(s.bytes, `"https://`...)
	s.bytes = append(s.bytes, domain...)
	s.bytes = append(s.bytes, page...)
	for n, mark := s.upTo(6), byte('?'); n > 0; n, mark = n-1, '&' {
		s.bytes = append(s.bytes, mark)
		s.bytes = append(s.bytes, pick(&s.dice, parameters)...)
		s.bytes = append(s.bytes, '=')
		s.bytes = strconv.AppendUint(s.bytes, s.Uint64()>>16, 36)
	}
	s.close('"')
}

func (s *writer) timings(at int) {
	s.number("navigationStart", at+s.upTo(90))
	s.number("requestStart", s.upTo(60))
	s.number("responseStart", 60+s.upTo(500))
	s.number("responseEnd", 560+s.upTo(500))
	s.measured("domContentLoadedTime", &s.dice, 60, 5_000)
	s.measured("domCompleteTime", &s.dice, 60, 6_000)
	s.measured("documentInteractiveTime", &s.dice, 60, 4_000)
	s.measured("loadEventStart", &s.dice, 60, 6_000)
	s.measured("loadEventEnd", &s.dice, 60, 6_000)
	s.measured("visuallyCompleteTime", &s.dice, 60, 8_000)
	s.measured("speedIndex", &s.dice, 60, 5_000)
	s.measured("largestContentfulPaint", &s.dice, 50, 5_000)
	s.measured("firstInputDelay", &s.dice, 30, 250)
	if s.chance(50) {
		s.fraction("cumulativeLayoutShift", s.unit(), 5)
	} else {
		s.null("cumulativeLayoutShift")
	}
	s.number("networkTime", s.upTo(400))
	s.number("serverTime", s.upTo(900))
	s.number("frontendTime", s.upTo(3_000))
}

func (s *writer) resources() {
	s.number("firstPartyResources", s.upTo(60))
	s.number("firstPartyBusyTime", s.upTo(900))
	s.number("thirdPartyResources", s.upTo(30))
	s.measured("thirdPartyBusyTime", &s.dice, 60, 900)
	s.number("cdnResources", s.upTo(30))
	s.measured("cdnBusyTime", &s.dice, 60, 900)
}

// eventsAndErrors fills most of what the user actions left.
func (s *writer) eventsAndErrors() {
	app := &applications[s.app]
	s.open("events", '[')
	for n := 0; n < 3 && s.room()-listReserve >= eventReserve; n++ {
		s.openElement()
		s.text("type", pick(&s.dice, eventTypes))
		s.text("name", pick(&s.dice, eventNames))
		s.number("startTime", s.startTime+s.upTo(s.duration))
		s.text("application", app.json)
		s.entity("internalApplicationId", "APPLICATION-", app.id)
		s.close('}')
	}
	s.close(']')
	s.open("errors", '[')
	if s.room() >= eventReserve {
		s.openElement()
		s.text("type", "JAVASCRIPT")
		s.text("name", pick(&s.dice, errorNames))
		s.number("startTime", s.startTime+s.upTo(s.duration))
		s.text("application", app.json)
		s.close('}')
	}
	s.close(']')
	if s.kind == synthetic && s.room() >= syntheticReserv {
		s.open("syntheticEvents", '[')
		s.openElement()
		s.text("name", pick(&s.dice, steps))
		s.text("type", "click")
		s.number("sequenceNumber", 1)
		s.number("timestamp", s.startTime+s.upTo(s.duration))
		s.entity("syntheticEventId", "SYNTHETIC_TEST_STEP-", s.Uint64())
		s.close('}')
		s.close(']')
	}
}
