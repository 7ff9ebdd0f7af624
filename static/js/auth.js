// Who is signed in, and the token that says so. Each change of it is announced
// as the window's event "aoc-session". It draws nothing.
//
// Tokens lie where MSAL keeps them, in the tab's sessionStorage, and nowhere else.
(function () {
  'use strict'

  const BACK = 'aoc.back' // where to come back to; there while a sign-in is under way
  const LEFT = 'aoc.signed-out'
  const CAME = 'aoc.signed-in' // when the last sign-in was done
  const HOLDS_MS = 60000 // a sign-in that is refused sooner would be refused again

  let client, account
  let scopes = []
  let state = 'starting'

  // Storage can be switched off. Then MSAL cannot work and says so; the rest must.
  function kept(key) {
    try {
      return sessionStorage.getItem(key)
    } catch {
      return null
    }
  }

  function keep(key, value) {
    try {
      if (value === null) sessionStorage.removeItem(key)
      else sessionStorage.setItem(key, value)
    } catch {
      // Nothing is kept then, and nothing is left to take away.
    }
  }

  const response = takeResponse()

  // takeResponse takes the authority's answer out of the address, before anything
  // reads the address, and puts back what stood there before the sign-in.
  function takeResponse() {
    const { hash } = location
    const answer = new URLSearchParams(hash.slice(1))
    if (!answer.has('state') || !(answer.has('code') || answer.has('error'))) return ''
    const back = JSON.parse(kept(BACK) || '{}')
    history.replaceState(back.state || null, '', location.pathname + (back.search || ''))
    return hash
  }

  function become(next, reason) {
    state = next
    window.dispatchEvent(new CustomEvent('aoc-session', { detail: { state, reason: reason || '', account: person() } }))
  }

  const person = () => ({ name: account?.name || account?.username || '', upn: account?.username || '' })

  // words of MSAL and the authority end where their trace ids begin.
  const words = (failure) => String(failure?.errorMessage || failure?.message || failure).split(/ Trace ID:|\r?\n/)[0].slice(0, 400)

  // start finds out whether somebody must sign in, and who has. It fails where
  // the API cannot say.
  async function start() {
    become('starting')
    const config = await AOC.api.open('/api/config/auth')
    if (!config.enabled) return become('open')
    if (!globalThis.crypto?.subtle) return become('insecure')
    try {
      scopes = config.scopes
      client = await AOC.msal.client(config)
      await arrive()
    } catch (failure) {
      keep(BACK, null)
      become('failed', words(failure))
    }
  }

  async function arrive() {
    // With the answer's own text MSAL does not load the page a second time.
    const result = await client.handleRedirectPromise({ hash: response, navigateToLoginRequestUrl: false })
    if (result) {
      client.setActiveAccount(result.account)
      keep(CAME, Date.now())
    }
    account = client.getActiveAccount() || client.getAllAccounts()[0]
    const unfinished = kept(BACK) !== null && !result
    keep(BACK, null)
    if (account) return become('open')
    if (kept(LEFT)) return afterSignOut()
    if (unfinished) return become('unfinished')
    return signIn()
  }

  function afterSignOut() {
    history.replaceState(null, '', location.pathname) // MSAL had it come back with a state
    become('signed-out')
  }

  // signIn leaves the page for the authority. "other" lets the person choose an account.
  async function signIn(other) {
    become('leaving')
    keep(LEFT, null)
    keep(BACK, JSON.stringify({ search: location.search, state: history.state }))
    try {
      await client.loginRedirect({ scopes, ...(other ? { prompt: 'select_account' } : { account }) })
    } catch (failure) {
      keep(BACK, null)
      become('failed', words(failure))
    }
  }

  async function signOut() {
    become('leaving')
    keep(LEFT, 'yes')
    try {
      await client.logoutRedirect({ account })
    } catch (failure) {
      become('failed', words(failure))
    }
  }

  // silently never opens a hidden frame, which the page's policy forbids.
  async function silently(cacheLookupPolicy) {
    try {
      return (await client.acquireTokenSilent({ scopes, account, cacheLookupPolicy })).accessToken
    } catch (failure) {
      if (!(failure instanceof msal.InteractionRequiredAuthError)) {
        throw new AOC.api.ApiError('The sign-in could not be renewed. ' + words(failure), 0)
      }
      return refused(words(failure))
    }
  }

  // token returns the bearer token for the API, '' where sign-in is off.
  async function token() {
    if (state !== 'open') throw new AOC.api.ApiError('Nobody is signed in.', 401)
    return client ? silently(msal.CacheLookupPolicy.AccessTokenAndRefreshToken) : ''
  }

  // renew replaces a token that the API refused: once for all requests that held
  // it, for MSAL makes one of those that ask at the same time.
  async function renew(stale) {
    const now = await token()
    return now === stale ? silently(msal.CacheLookupPolicy.RefreshToken) : now
  }

  // refused has the person sign in again, but not round and round. It always throws.
  async function refused(reason) {
    if (state === 'open') {
      const young = Date.now() - Number(kept(CAME)) < HOLDS_MS
      if (young) become('refused', reason)
      else signIn()
    }
    throw new AOC.api.ApiError(reason || 'Sign in again.', 401)
  }

  function denied(reason) {
    if (client && state === 'open') become('denied', reason)
  }

  // A page out of the browser's memory may show what belongs to a session that is over.
  window.addEventListener('pageshow', (event) => {
    if (event.persisted && client) location.reload()
  })

  AOC.auth = { start, signIn, signOut, token, renew, refused, denied }
})()
