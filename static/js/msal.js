// Brings MSAL, Microsoft's library for sign-in, to the page and tells it where
// things are. The page loads it only where sign-in is on.
(function () {
  'use strict'

  const LIBRARY = 'vendor/msal-browser-5.29.0.min.js'
  const TIMEOUT_MS = 20000

  function script() {
    return new Promise((done, failed) => {
      const element = document.createElement('script')
      element.src = LIBRARY
      element.addEventListener('load', done)
      element.addEventListener('error', () => failed(new Error('The sign-in library could not be loaded.')))
      document.head.append(element)
    })
  }

  // route says where a request for the authority goes. A simulated tenant is
  // served beside the page, for a browser does not trust its certificate.
  function route(simulated) {
    if (!simulated) return String
    if (!/^\/[a-z0-9][\w./-]*$/i.test(simulated)) throw new Error('The simulated tenant must be a path of this page’s own origin.')
    return (url) => {
      const { pathname, search } = new URL(url)
      return location.origin + simulated.replace(/\/$/, '') + pathname + search
    }
  }

  // network is MSAL's INetworkModule with a time limit, and without redirects:
  // what goes through it are codes and tokens.
  function network(to) {
    async function send(method, url, options) {
      const answer = await fetch(to(url), {
        method,
        headers: options?.headers || {},
        body: method === 'POST' ? options?.body || '' : undefined,
        credentials: 'omit',
        redirect: 'error',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      })
      return { status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.json() }
    }
    return {
      sendGetRequestAsync: (url, options) => send('GET', url, options),
      sendPostRequestAsync: (url, options) => send('POST', url, options),
    }
  }

  // home is the page's address without its state, as it is registered in Entra.
  const home = () => new URL('.', location.origin + location.pathname).href

  function configuration(config) {
    const to = route(config.simulated)
    const auth = { clientId: config.client_id, authority: config.authority, redirectUri: home(), postLogoutRedirectUri: home() }
    if (config.simulated) {
      auth.onRedirectNavigate = (url) => {
        location.assign(to(url))
        return false // MSAL would go to the real authority
      }
    }
    return { auth, cache: { cacheLocation: 'sessionStorage' }, system: { networkClient: network(to), allowPlatformBroker: false } }
  }

  // client returns MSAL's client, ready to be asked.
  async function client(config) {
    if (!globalThis.msal) await script()
    const made = new msal.PublicClientApplication(configuration(config))
    await made.initialize()
    return made
  }

  AOC.msal = { client }
})()
