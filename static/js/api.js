// Talks to the API: where it is, how it fails. It knows nothing of the page.
(function () {
  'use strict'

  const TIMEOUT_MS = 30000

  // ApiError is a refusal or a failure, in words for people.
  class ApiError extends Error {
    constructor(message, status, requestID) {
      super(message)
      this.status = status
      this.requestID = requestID || ''
    }
  }

  let base // promise of the API's origin; '' is the page's own

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

  async function request(method, path, signal) {
    const limit = AbortSignal.timeout(TIMEOUT_MS)
    const signals = signal ? AbortSignal.any([signal, limit]) : limit
    let answer, body
    try {
      answer = await fetch((await origin()) + path, { method, signal: signals, headers: { Accept: 'application/json' } })
      body = await answer.text()
    } catch (failure) {
      if (signal?.aborted) throw failure
      throw new ApiError(limit.aborted ? 'The API took longer than 30 seconds.' : 'The API does not answer. Is it running?', 0)
    }
    return read(answer, body)
  }

  function read(answer, text) {
    let body
    try {
      body = JSON.parse(text)
    } catch {
      throw new ApiError('The API answered ' + answer.status + ' with something that is not JSON.', answer.status)
    }
    if (answer.ok) return body
    const error = (body && body.error) || {}
    throw new ApiError(error.message || 'The API answered ' + answer.status + '.', answer.status, error.request_id)
  }

  // told puts a failure in one sentence, with what support will ask for.
  function told(failure) {
    const id = failure.requestID ? ' (request ' + failure.requestID + ')' : ''
    return (failure.message || 'Something went wrong.') + id
  }

  AOC.api = {
    get: (path, signal) => request('GET', path, signal),
    post: (path) => request('POST', path),
    told,
  }
})()
