package auth

import (
	"fmt"
	"strings"
	"time"
)

func timeAttacks(a *attacks) {
	now := time.Now().Unix()
	a.claims("expired, not yet valid", classTime, person, map[string]fields{
		"an hour ago": {"exp": now - 3600}, "61 seconds ago": {"exp": now - 61}, "in 1970": {"exp": 1},
		"nbf in an hour": {"nbf": now + 3600}, "nbf in 75 seconds": {"nbf": now + 75}, "nbf in the year 9999": {"nbf": 253402300799},
		"iat in an hour": {"iat": now + 3600}, "iat in the year 9999": {"iat": 253402300799}, "expired before it began": {"exp": now - 100, "nbf": now + 100},
	})
	a.claims("expired, not yet valid", classTime, person1, map[string]fields{"v1.0, an hour ago": {"exp": now - 3600}, "v1.0, nbf in an hour": {"nbf": now + 3600}})
	a.claims("without exp or nbf", classClaims, person, map[string]fields{
		"exp": {"exp": leave}, "nbf": {"nbf": leave}, "both": {"exp": leave, "nbf": leave}, "exp 0": {"exp": 0}, "nbf 0": {"nbf": 0}, "EXP": {"exp": leave, "EXP": now + 3600}, "expires": {"exp": leave, "expires": now + 3600},
	})
	for _, name := range []string{"exp", "nbf", "iat"} {
		odd := map[string]string{}
		for _, number := range []string{
			`"9999999999"`, `"never"`, `""`, `null`, `true`, `[]`, `[9999999999]`, `{}`, `{"$gt":0}`, `-1`, `-0.5`, `1e300`, `1e400`, `-1e400`, `9999999999.5`, `99999999999999`,
			`9223372036854775807`, `9223372036854775808`, `18446744073709551616`, `1e9`, `1E1000000000`, `"NaN"`, `"Infinity"`, `0.1e1`, fmt.Sprintf("%d.0", now), "1" + strings.Repeat("0", 400),
		} {
			odd[number[:min(len(number), 24)]+" as "+name] = strings.Replace(person().with(fields{name: "@@"}).json(), `"@@"`, number, 1)
		}
		a.payloads("times of another form", classClaims, odd)
	}
	a.payloads("times of another form", classMalformed, map[string]string{
		"NaN": strings.Replace(person().with(fields{"exp": "@@"}).json(), `"@@"`, "NaN", 1), "Infinity": strings.Replace(person().with(fields{"exp": "@@"}).json(), `"@@"`, "Infinity", 1),
		"hex": strings.Replace(person().with(fields{"exp": "@@"}).json(), `"@@"`, "0xFFFFFFFF", 1), "leading zero": strings.Replace(person().with(fields{"exp": "@@"}).json(), `"@@"`, "09999999999", 1),
		"plus": strings.Replace(person().with(fields{"exp": "@@"}).json(), `"@@"`, "+9999999999", 1),
	})
}

func tenantAttacks(a *attacks) {
	wrong := map[string]fields{
		"missing": {"tid": leave}, "TID": {"tid": leave, "TID": tenantID},
		"of personal accounts": {"tid": otherID}, "all of another": {"tid": otherID, "iss": origin1 + "/" + otherID + "/v2.0"},
		"all of another, v1.0": {"tid": otherID, "iss": "https://sts.windows.net/" + otherID + "/", "ver": "1.0"},
	}
	for _, tid := range []string{"", "common", "organizations", "{tenantid}", "*", strings.ToUpper(tenantID), tenantID + " ", " " + tenantID, "{" + tenantID + "}", strings.ReplaceAll(tenantID, "-", ""), tenantID + "\x00", tenantID[:35], "contoso.onmicrosoft.com"} {
		wrong[fmt.Sprintf("%q", tid)] = fields{"tid": tid}
	}
	a.claims("tid", classTenant, person, wrong)
	a.claims("tid", classClaims, person, map[string]fields{"null": {"tid": nil}, "list": {"tid": []string{tenantID}}, "number": {"tid": 1}, "object": {"tid": fields{"$exists": true}}})
}

func issuerAttacks(a *attacks) {
	wrong := map[string]fields{}
	for _, iss := range []string{
		issuer1, issuer2 + "/", strings.TrimSuffix(issuer2, "/v2.0"), strings.ToUpper(issuer2), "http" + issuer2[5:], issuer2[8:], " " + issuer2, issuer2 + " ", issuer2 + "\x00",
		origin1 + "/" + strings.ToUpper(tenantID) + "/v2.0", origin1 + "/common/v2.0", origin1 + "/{tenantid}/v2.0", origin1 + "/" + otherID + "/v2.0", origin1 + "//" + tenantID + "/v2.0", origin1 + "/" + tenantID + "/V2.0",
		origin1 + ".evil.example/" + tenantID + "/v2.0", "https://evil.example/" + tenantID + "/v2.0", "https://login-microsoftonline.com/" + tenantID + "/v2.0", "https://login.microsoftonline.com@evil.example/" + tenantID + "/v2.0",
		"https://login.microsoftonline.us/" + tenantID + "/v2.0", "https://login.microsoftonline.com:443/" + tenantID + "/v2.0", "https://login.microsoft0nline.com/" + tenantID + "/v2.0", "https://lоgin.microsoftonline.com/" + tenantID + "/v2.0",
		"https://evil.example/?" + issuer2, issuer2 + "#x", "https://login.microsoftonline.com/" + tenantID + "/../" + otherID + "/v2.0", "https://accounts.google.com",
	} {
		wrong[fmt.Sprintf("%q", iss)] = fields{"iss": iss}
	}
	a.claims("iss", classIssuer, person, wrong)
	a.claims("iss", classIssuer, person1, map[string]fields{
		"v1.0, of v2.0": {"iss": issuer2}, "v1.0, no slash": {"iss": strings.TrimSuffix(issuer1, "/")}, "v1.0, lookalike": {"iss": "https://sts.windows.net.evil.example/" + tenantID + "/"},
		"v1.0, another tenant's": {"iss": "https://sts.windows.net/" + otherID + "/"}, "v1.0, case": {"iss": "https://STS.windows.net/" + tenantID + "/"},
	})
	a.claims("iss", classClaims, person, map[string]fields{"missing": {"iss": leave}, "empty": {"iss": ""}, "null": {"iss": nil}, "list": {"iss": []string{issuer2}}, "ISS": {"iss": leave, "ISS": issuer2}})
}

func audienceAttacks(a *attacks) {
	wrong := map[string]fields{}
	for _, aud := range []string{
		"00000003-0000-0000-c000-000000000000", "https://graph.microsoft.com", "https://management.azure.com/", "api://" + appID, appID, "api://" + clientID + "/access_as_user", "api://" + clientID + "//", "API://" + clientID,
		strings.ToUpper(clientID), " " + clientID, clientID + " ", clientID + "/", clientID + "\x00", "api:/" + clientID, "https://" + clientID, "*", "spn:" + clientID, "api://" + clientID + "@evil.example", clientID[:35], "api://", "/", "{clientid}",
	} {
		wrong[fmt.Sprintf("%q", aud)] = fields{"aud": aud}
	}
	wrong["list of another"] = fields{"aud": []string{appID}}
	a.claims("aud", classAudience, person, wrong)
	a.claims("aud", classClaims, person, map[string]fields{
		"missing": {"aud": leave}, "empty": {"aud": ""}, "null": {"aud": nil}, "number": {"aud": 7}, "object": {"aud": fields{clientID: true}}, "empty list": {"aud": []string{}},
		"ours and another": {"aud": []string{clientID, appID}}, "another and ours": {"aud": []string{appID, clientID}}, "ours twice": {"aud": []string{clientID, clientID}},
		"list in a list": {"aud": []any{[]string{clientID}}}, "list of null": {"aud": []any{nil}}, "AUD": {"aud": leave, "AUD": clientID},
	})
}

func versionAttacks(a *attacks) {
	wrong := map[string]fields{"missing": {"ver": leave}, "number": {"ver": 2.0}, "number 1": {"ver": 1}, "null": {"ver": nil}, "list": {"ver": []string{"2.0"}}, "Ver": {"ver": leave, "Ver": "2.0"}}
	for _, ver := range []string{"", "1", "2", "3.0", "2.0 ", "02.0", "2,0", "v2.0", "2.0.0", "1.0\x00"} {
		wrong[fmt.Sprintf("%q", ver)] = fields{"ver": ver}
	}
	a.claims("ver", classClaims, person, wrong)
	a.claims("ver", classIssuer, person, map[string]fields{"1.0 on a v2.0 token": {"ver": "1.0"}})
	a.claims("ver", classIssuer, person1, map[string]fields{"2.0 on a v1.0 token": {"ver": "2.0"}})
}

func claimAttacks(a *attacks) {
	a.claims("claims of another type", classClaims, person, map[string]fields{
		"oid missing": {"oid": leave}, "oid empty": {"oid": ""}, "oid is a mail": {"oid": "ada@example.com"}, "oid null": {"oid": nil}, "oid list": {"oid": []string{personID}}, "oid short": {"oid": personID[1:]}, "OID": {"oid": leave, "OID": personID},
		"oid injects": {"oid": personID[:30] + "' OR 1"}, "oid not hex": {"oid": "g" + personID[1:]}, "oid path": {"oid": "../../users/" + personID[12:]}, "oid without hyphens": {"oid": strings.ReplaceAll(personID, "-", "0")},
		"azp no guid": {"azp": "evil"}, "azp list": {"azp": []string{appID}}, "roles text": {"roles": "Admin"}, "roles object": {"roles": fields{"0": "Admin"}}, "roles null": {"roles": nil}, "roles of lists": {"roles": []any{[]string{"Admin"}}},
		"groups text": {"groups": otherID}, "groups of numbers": {"groups": []int{1}}, "scp list": {"scp": []string{"access_as_user"}}, "scp object": {"scp": fields{}}, "scp null": {"scp": nil}, "idtyp true": {"idtyp": true}, "name object": {"name": fields{}}, "sid number": {"sid": 5}, "uti list": {"uti": []string{}},
	})
}

// duplicateAttacks say something twice, in the hope that two readers differ.
func duplicateAttacks(a *attacks) {
	good := person().json()
	twice := func(member string) string { return strings.Replace(good, "{", "{"+member+",", 1) }
	a.payloads("a claim twice", classMalformed, map[string]string{
		"tid": twice(`"tid":"` + otherID + `"`), "aud": twice(`"aud":"` + appID + `"`), "exp": twice(`"exp":9999999999`), "roles": strings.Replace(good, "{", `{"roles":["Admin"],"roles":[],`, 1),
		"same value": twice(`"ver":"2.0"`), "escaped name": twice(`"\u0074id":"` + otherID + `"`), "wholly escaped": twice(`"\u006f\u0069\u0064":"` + otherID + `"`), "escaped capital hex": twice(`"\u006F\u0069d":"x"`),
		"nested": twice(`"x":{"a":1,"a":2}`), "nested, escaped": twice(`"x":{"a":1,"\u0061":2}`), "in a list": twice(`"x":[{"a":1,"a":1}]`), "empty names": twice(`"":1,"":2`),
		"two lone surrogates": twice(`"\ud800":1,"\udfff":2`), "escaped slash": twice(`"a/b":1,"a\/b":2`), "deep": twice(`"x":{"y":{"z":[[{"k":0,"k":1}]]}}`), "last": strings.TrimSuffix(good, "}") + `,"ver":"2.0"}`,
	})
	head := goodHeader().json()
	heads := map[string]string{}
	for name, member := range map[string]string{"alg": `"alg":"none"`, "alg same": `"alg":"RS256"`, "alg escaped": `"\u0061lg":"none"`, "kid": `"kid":"second"`, "kid escaped": `"k\u0069d":"second"`, "typ": `"typ":"JWE"`} {
		heads[name] = sign(strings.Replace(head, "{", "{"+member+",", 1), good, material()[0])
	}
	a.add("a header member twice", classMalformed, heads)
}
