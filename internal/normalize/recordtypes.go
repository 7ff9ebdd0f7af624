package normalize

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"

	"aoc/internal/audit"
)

// recordTypeTable is the Management API's AuditLogRecordType, as its schema and
// Microsoft Graph list it. About a quarter of the types on the wire are missing
// from every table: an unknown number is kept and shown.
//
//go:embed record_types.csv
var recordTypeTable string

type recordTypeIndex struct {
	byName  map[string]int // lower case
	names   map[int]string
	service map[int]string // where the type says more than the Workload, or instead of it
}

var recordTypes = sync.OnceValue(func() *recordTypeIndex {
	index := &recordTypeIndex{byName: map[string]int{}, names: map[int]string{}, service: map[int]string{}}
	for line := range strings.Lines(recordTypeTable) {
		number, name, _ := strings.Cut(strings.TrimSpace(line), ",")
		if n, err := strconv.Atoi(number); err == nil {
			index.byName[lower(name)], index.names[n] = n, name
		}
	}
	for service, types := range typeServices {
		for _, n := range types {
			index.service[n] = service
		}
	}
	return index
})

var typeServices = map[string][]int{
	// Alerts, mail threats, investigations: people look for them in Defender,
	// whatever workload they were raised for.
	audit.ServiceDefender: {28, 40, 41, 47, 62, 64, 65, 78, 85, 88, 89, 98, 113, 218, 235, 237},
	// Data loss prevention names the workload that it watched.
	audit.ServicePurview:    {11, 13, 33, 63, 99, 100, 107},
	audit.ServiceExchange:   {1, 2, 3, 19, 50},
	audit.ServiceSharePoint: {4, 6, 14, 36, 37, 54, 55, 56},
	audit.ServiceOneDrive:   {7},
	audit.ServiceEntra:      {8, 9, 15},
	audit.ServiceTeams:      {25, 57, 59},
	audit.ServiceCopilot:    {261, 334},
}
