package simtenant

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wireRecord is what the oddities are looked for in.
type wireRecord struct {
	raw string

	Operation, ResultStatus, Workload, LogonError string
	RecordType                                    int
	ClientIP                                      *string
	Parameters, ModifiedProperties                json.RawMessage
}

func (r wireRecord) ip() string {
	if r.ClientIP == nil {
		return ""
	}
	return *r.ClientIP
}

// oddities are forms in which the services write things, each seen on the
// wire, each of which a reader must get right.
var oddities = map[string]func(r wireRecord) bool{
	"result True":               func(r wireRecord) bool { return r.ResultStatus == "True" && r.RecordType == 1 },
	"result False":              func(r wireRecord) bool { return r.ResultStatus == "False" },
	"result Succeeded":          func(r wireRecord) bool { return r.ResultStatus == "Succeeded" },
	"result PartiallySucceeded": func(r wireRecord) bool { return r.ResultStatus == "PartiallySucceeded" },
	"result Failure":            func(r wireRecord) bool { return r.ResultStatus == "Failure" },
	"result failed":             func(r wireRecord) bool { return r.ResultStatus == "failed" && r.RecordType == 9 },
	"no result":                 func(r wireRecord) bool { return r.ResultStatus == "" && r.RecordType == 6 },
	"failed logon says Success": func(r wireRecord) bool {
		return r.Operation == "UserLoginFailed" && r.ResultStatus == "Success" && r.LogonError != ""
	},
	"operation with a full stop": func(r wireRecord) bool { return strings.HasSuffix(r.Operation, ".") },
	"operation with a space":     func(r wireRecord) bool { return strings.HasSuffix(r.Operation, "management ") },
	"address with a port":        func(r wireRecord) bool { return isAddrPort(r.ip(), false) },
	"IPv6 address with a port":   func(r wireRecord) bool { return isAddrPort(r.ip(), true) },
	"null address":               func(r wireRecord) bool { return strings.Contains(r.raw, `"ClientIP":null`) },
	"empty address":              func(r wireRecord) bool { return strings.Contains(r.raw, `"ClientIP":""`) },
	"parameters as a list":       func(r wireRecord) bool { return strings.HasPrefix(string(r.Parameters), `[{"Name":`) },
	"parameters as a text":       func(r wireRecord) bool { return strings.HasPrefix(string(r.Parameters), `"-`) },
	"properties as objects":      func(r wireRecord) bool { return strings.HasPrefix(string(r.ModifiedProperties), `[{"Name":`) },
	"properties as texts": func(r wireRecord) bool {
		return strings.HasPrefix(string(r.ModifiedProperties), `["`) && r.RecordType == 8
	},
	"unknown record type": func(r wireRecord) bool { return r.RecordType == 999 },
	"no id":               func(r wireRecord) bool { return !strings.Contains(r.raw, `"Id":`) && r.RecordType == 188 },
	"OneDrive file":       func(r wireRecord) bool { return r.Workload == "OneDrive" && r.RecordType == 6 },
	"OneDrive sharing":    func(r wireRecord) bool { return r.Workload == "OneDrive" && r.RecordType == 14 },
	"mail items by folder": func(r wireRecord) bool {
		return r.RecordType == 50 && strings.Contains(r.raw, `"FolderItems":[{"Internet`)
	},
	"mail items affected": func(r wireRecord) bool { return r.RecordType == 3 && strings.Contains(r.raw, `"AffectedItems":[{"Id"`) },
	"members of a team": func(r wireRecord) bool {
		return r.RecordType == 25 && strings.Contains(r.raw, `"Members":[{"DisplayName"`)
	},
	"Copilot":          func(r wireRecord) bool { return r.RecordType == 261 && r.Workload == "Copilot" },
	"Power Platform":   func(r wireRecord) bool { return r.RecordType == 30 || r.RecordType == 45 },
	"alert":            func(r wireRecord) bool { return r.RecordType == 40 && strings.Contains(r.raw, `"Data":"{\"f3u\"`) },
	"DLP in a file":    func(r wireRecord) bool { return r.RecordType == 11 && strings.Contains(r.raw, "SharePointMetaData") },
	"DLP in a mail":    func(r wireRecord) bool { return r.RecordType == 13 && strings.Contains(r.raw, "ExchangeMetaData") },
	"DLP on a machine": func(r wireRecord) bool { return r.RecordType == 63 && strings.Contains(r.raw, "EndpointMetaData") },
}

func isAddrPort(s string, six bool) bool {
	a, err := netip.ParseAddrPort(s)
	return err == nil && a.Addr().Is6() == six
}

func TestTheWiresOdditiesAreThere(t *testing.T) {
	h := newHistory(41, testEpoch, 120)
	left := map[string]bool{}
	for name := range oddities {
		left[name] = true
	}
	for _, feed := range []string{AuditAzureAD, AuditExchange, AuditSharePoint, AuditGeneral, DLPAll} {
		for _, r := range h.published(feed, testEpoch.Add(-14*24*time.Hour), testEpoch) {
			wire := wireRecord{raw: string(r.Body)}
			require.NoError(t, json.Unmarshal(r.Body, &wire))
			for name := range left {
				if oddities[name](wire) {
					delete(left, name)
				}
			}
		}
	}
	require.Empty(t, left)
}

// TestAddressesAreNobodys: an address in a record blames whoever has it.
func TestAddressesAreNobodys(t *testing.T) {
	h := newHistory(41, testEpoch, 120)
	var nobodys []netip.Prefix
	for _, p := range []string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"} {
		nobodys = append(nobodys, netip.MustParsePrefix(p))
	}
	for _, r := range weekOf(h, SignIns) {
		var s struct{ IPAddress string }
		require.NoError(t, json.Unmarshal(r.Body, &s))
		addr, err := netip.ParseAddr(s.IPAddress)
		require.NoError(t, err)
		require.Condition(t, func() bool {
			for _, p := range nobodys {
				if p.Contains(addr) {
					return true
				}
			}
			return false
		}, s.IPAddress)
	}
}
