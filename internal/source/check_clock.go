package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"aoc/internal/audit"
)

const (
	skewWarns = time.Minute
	skewFails = 5 * time.Minute // Entra lets tokens and assertions differ by so much
)

// clock compares this machine's clock with Microsoft's: by the Date of an
// answer to a call that needs no token, since a wrong clock can be why there is
// none; else by the times of a token, which bound it.
func (p *preflight) clock(ctx context.Context) audit.Check {
	check := audit.Check{Name: "Clock"}
	ahead, err := p.ahead(ctx)
	if err == nil {
		return judgeClock(ahead, "").on(check)
	}
	now, read := time.Now(), false
	for _, l := range p.logins {
		if l.claims == nil {
			continue
		}
		read = true
		if early := seconds(l.claims.IssuedAt).Sub(now); early > 0 {
			return judgeClock(-early, "at least ").on(check)
		}
		if late := now.Sub(seconds(l.claims.Expires)); late > 0 {
			return judgeClock(late, "at least ").on(check)
		}
	}
	if read {
		return verdict{audit.CheckOK, "The times of the token fit this machine's clock. No answer told the exact time.", ""}.on(check)
	}
	return verdict{audit.CheckSkipped, "Not compared: no answer of Microsoft told the time.", ""}.on(check)
}

// ahead returns how far this machine's clock is ahead of Graph's, negative
// when it is behind. An HTTP Date is whole seconds: half a second is added.
func (p *preflight) ahead(ctx context.Context) (time.Duration, error) {
	svc := p.service(Graph)
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, svc.base.String()+"/", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("User-Agent", p.client.userAgent)
	began := time.Now()
	resp, err := p.client.http.Do(req)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	took := time.Since(began)
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return 0, errors.New("the answer has no Date")
	}
	return began.Add(took / 2).Sub(date.Add(time.Second / 2)), nil
}

func judgeClock(ahead time.Duration, about string) verdict {
	way := "ahead of"
	if ahead < 0 {
		way, ahead = "behind", -ahead
	}
	if ahead <= skewWarns {
		return verdict{audit.CheckOK, "This machine's clock agrees with Microsoft's.", ""}
	}
	state := audit.CheckWarning
	if ahead > skewFails {
		state = audit.CheckFailed
	}
	return verdict{
		state,
		fmt.Sprintf("This machine's clock is %s%s %s Microsoft's: tokens can be refused as expired or not yet valid, and windows are taken for over too early or too late.", about, ahead.Round(time.Second), way),
		"Set the clock and keep it set: on Linux sudo timedatectl set-ntp true, on Windows w32tm /resync, on macOS sudo sntp -sS time.apple.com",
	}
}
