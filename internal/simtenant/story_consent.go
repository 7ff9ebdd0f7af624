package simtenant

import "time"

// tellConsent: a user consents to an application, an administrator is talked
// into giving it more, and then it reads mail as itself, every two hours.
func (m *maker) tellConsent() {
	m.install(m.rng, m.newID(), "Docu Sync Pro")
	bad := m.app("Docu Sync Pro")
	user := m.staff[marketer]
	at := m.on(lastWorkday(m.epoch, -3), 11, 20)
	here := m.presence(user, m.hour)
	m.signedIn(signIn{
		at: at.Add(-2 * time.Minute), who: user, app: bad, ip: here.ip, place: here.place, agent: user.agent,
		session: here.session, client: "Browser", managed: true, mfa: true, risk: "none",
	})
	m.consented(at, user, here.ip, bad)
	at = m.on(lastWorkday(m.epoch, -2), 14, 5)
	admin := m.staff[globalAdmin]
	m.granted(at, admin, m.presence(admin, m.hour).ip, bad)
	m.readByApp(bad)
}

// permissions is how a consent lists what it gives: a text of its own kind.
func (m *maker) permissions(bad app, user *person, resource app) string {
	return "[] => [[Id: " + mailKey(m.rng, 43) + ", ClientId: " + bad.id + ", PrincipalId: " + user.id + ", ResourceId: " + resource.id +
		", ConsentType: Principal, Scope:  Mail.Read Files.Read.All offline_access, CreatedDateTime: , LastModifiedDateTime: ]]; "
}

// consented is what one click on Accept writes.
func (m *maker) consented(at time.Time, user *person, ip string, bad app) {
	graph := m.app("Microsoft Graph")
	details := []pair{{"User-Agent", user.agent.text}, {"AppId", bad.appID}}
	m.changed(directoryChange{
		at: at, operation: "Add service principal", category: "ApplicationManagement", service: coreDirectory, operationType: "Add",
		by: user, ip: ip, details: details,
		targets: []target{appTarget(bad,
			change{"AccountEnabled", "[]", "[true]"},
			change{"AppPrincipalId", "[]", `["` + bad.appID + `"]`},
			change{"DisplayName", "[]", `["` + bad.name + `"]`},
			change{"Included Updated Properties", "", "AccountEnabled, AppPrincipalId, DisplayName"})},
	})
	m.changed(directoryChange{
		at: at.Add(time.Second), operation: "Add delegated permission grant", category: "ApplicationManagement", service: coreDirectory, operationType: "Assign",
		by: user, ip: ip, details: details,
		targets: []target{
			appTarget(graph, change{"DelegatedPermissionGrant.Scope", "", " Mail.Read Files.Read.All offline_access"}, change{"DelegatedPermissionGrant.ConsentType", "", "Principal"}, change{"ServicePrincipal.ObjectID", "", bad.id}),
			appTarget(bad),
		},
	})
	m.changed(directoryChange{
		at: at.Add(2 * time.Second), operation: "Consent to application", category: "ApplicationManagement", service: coreDirectory, operationType: "Assign",
		by: user, ip: ip, details: details,
		targets: []target{appTarget(bad,
			change{"ConsentContext.IsAdminConsent", "", "False"},
			change{"ConsentContext.IsAppOnly", "", "False"},
			change{"ConsentContext.OnBehalfOfAll", "", "False"},
			change{"ConsentAction.Permissions", "", m.permissions(bad, user, graph)},
			change{"TargetId.ServicePrincipalNames", "", bad.appID})},
	})
}

// granted is the administrator's part: rights that need no user.
func (m *maker) granted(at time.Time, admin *person, ip string, bad app) {
	m.changed(directoryChange{
		at: at, operation: "Add app role assignment to service principal", category: "ApplicationManagement", service: coreDirectory, operationType: "Assign",
		by: admin, ip: ip, details: []pair{{"User-Agent", admin.agent.text}, {"AppId", bad.appID}},
		targets: []target{
			appTarget(m.app("Microsoft Graph"),
				change{"AppRole.Id", "", "810c84a8-4a9e-49e6-bf7d-12d183f40d01"},
				change{"AppRole.Value", "", "Mail.Read"},
				change{"AppRole.DisplayName", "", "Read mail in all mailboxes"},
				change{"ServicePrincipal.ObjectID", "", bad.id},
				change{"ServicePrincipal.DisplayName", "", bad.name},
				change{"ServicePrincipal.AppId", "", bad.appID}),
			appTarget(bad),
		},
	})
}

// readByApp reads mailboxes with no user's name on it.
func (m *maker) readByApp(bad app) {
	for hour := 16; hour <= 46; hour += 2 {
		at := m.on(-2, hour, 3)
		id := m.derivedID("sign-in", bad.id, at.String())
		m.principalSignedIn(at.Add(-30*time.Second), service{app: bad, ip: attackerIP(77)}, id, m.derivedID(id), "clientSecret", 0)
		for i, n := range []int{financeChief, financeChief, globalAdmin, personnelPartner, payableClerk} {
			m.mailbox(mail{
				at: at.Add(time.Duration(i) * 20 * time.Second), operation: "MailItemsAccessed", kind: 50, owner: m.staff[n], app: bad, appOnly: true,
				ip: attackerIP(77), client: "Client=REST;Client=RESTSystem;;", result: "Succeeded", items: 2 + m.rng.IntN(10),
			})
		}
	}
}
