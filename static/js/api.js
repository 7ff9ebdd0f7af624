// Talks to the API: where it is, with which token, how it fails. It knows
// nothing of the page.
(function () {
  'use strict'

  const TIMEOUT_MS = 30000
  const MAX_PAUSE_S = 3600
  const WAIT_S = 60 // where a 429 does not say how long

  // What everybody with access may read. A refusal of these is no access at all.
  const EVERYBODYS = /^\/api\/(?:events(?:\?|$)|filter-options$|source-health$|config\/features$)/

  // ApiError is a refusal or a failure, in words for people.
  class ApiError extends Error {
    constructor(message, status, requestID) {
      super(message)
      this.status = status
      this.requestID = requestID || ''
    }
  }

  let base // promise of the API's origin; '' is the page's own
  let pausedUntil = 0

  // The page may be served from elsewhere than the API: config.json says where.
  function origin() {
    base ??= fetch('config.json', { cache: 'no-cache' })
      .then((answer) => (answer.ok ? answer.json() : {}))
      .then((config) => String(config.api || '').replace(/\/+$/, ''))
      .catch((failure) => {
        base = undefined // so that the next request asks again
        throw failure
      })
    return base
  }

  // send makes one request. A token goes to the API alone: never past a redirect.
  async function send(method, path, signal, token) {
    const limit = AbortSignal.timeout(TIMEOUT_MS)
    const signals = signal ? AbortSignal.any([signal, limit]) : limit
    const headers = { Accept: 'application/json' }
    if (token) headers.Authorization = 'Bearer ' + token
    try {
      const answer = await fetch((await origin()) + path, { method, headers, signal: signals, redirect: 'error' })
      return { status: answer.status, ok: answer.ok, wait: answer.headers.get('Retry-After'), text: await answer.text() }
    } catch (failure) {
      if (signal?.aborted) throw failure
      throw new ApiError(limit.aborted ? 'The API took longer than 30 seconds.' : 'The API does not answer. Is it running?', 0)
    }
  }

  // request renews a refused token once. After that only the person can help.
  async function request(method, path, signal) {
    const token = await AOC.auth.token()
    let answer = await send(method, path, signal, token)
    if (answer.status === 401 && token) {
      answer = await send(method, path, signal, await AOC.auth.renew(token))
      if (answer.status === 401) await AOC.auth.refused(parse(answer.text)?.error?.message)
    }
    return read(answer, path)
  }

  function parse(text) {
    try {
      return JSON.parse(text)
    } catch {
      return undefined
    }
  }

  function read(answer, path) {
    if (answer.status === 429) throw tooMany(answer)
    const body = parse(answer.text)
    if (body === undefined) throw new ApiError('The API answered ' + answer.status + ' with something that is not JSON.', answer.status)
    if (answer.ok) return body
    const error = body?.error || {}
    if (answer.status === 403 && error.code === 'forbidden' && EVERYBODYS.test(path)) AOC.auth.denied(error.message)
    throw new ApiError(error.message || 'The API answered ' + answer.status + '.', answer.status, error.request_id)
  }

  // seconds reads Retry-After in both its forms (RFC 9110, 10.2.3).
  function seconds(text) {
    if (!text) return WAIT_S
    const n = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000
    return Number.isFinite(n) ? Math.min(Math.max(Math.ceil(n), 1), MAX_PAUSE_S) : WAIT_S
  }

  function tooMany(answer) {
    const n = seconds(answer.wait)
    pausedUntil = Math.max(pausedUntil, Date.now() + n * 1000)
    const words = 'Too many requests: try again in ' + n + (n === 1 ? ' second.' : ' seconds.')
    const error = parse(answer.text)?.error || {}
    // The API also answers so where it cannot count, which is not the person's doing.
    const other = error.message && !/^too many requests/i.test(error.message)
    return new ApiError(other ? error.message : words, 429, error.request_id)
  }

  // told puts a failure in one sentence, with what support will ask for.
  function told(failure) {
    const id = failure.requestID ? ' (request ' + failure.requestID + ')' : ''
    return (failure.message || 'Something went wrong.') + id
  }

  AOC.api = {
    ApiError,
    get: (path, signal) => request('GET', path, signal),
    post: (path) => request('POST', path),
    open: async (path) => read(await send('GET', path), path), // without a token, before there is one
    paused: () => Date.now() < pausedUntil, // what asks by itself waits until a 429 is over
    told,
  }
})()
