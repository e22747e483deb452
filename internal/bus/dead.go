package bus

import "github.com/chunkline/chunkline/internal/report"

// deadPage reads or writes that the body is a page of dead letters.
func (f *fields) deadPage(p **report.DeadPage) {
	var count int
	if f.write && *p != nil {
		count = len((*p).Letters) + 1 // told apart from no page
	}
	f.int("Chunkline-Dead", &count, report.MaxDead+1, optional)
	if f.write || f.err != nil || count == 0 {
		return
	}
	page := new(report.DeadPage)
	f.jsonBody(page)
	if f.err == nil && len(page.Letters) != count-1 {
		f.failBody("%d dead letters, want %d", len(page.Letters), count-1)
	}
	*p = page
}

// shadowReport reads or writes that the body is a report.
func (f *fields) shadowReport(r **report.ShadowReport) {
	there := *r != nil
	f.flag(keyShadow, &there)
	if f.write || f.err != nil || !there {
		return
	}
	found := new(report.ShadowReport)
	f.jsonBody(found)
	*r = found
}
