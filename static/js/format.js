// Writes times, numbers and codes for people. Times are UTC on the wire and
// local on the page.
(function () {
  'use strict'

  const clock = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }
  const short = new Intl.DateTimeFormat(undefined, { month: 'short', day: '2-digit', ...clock })
  const dated = new Intl.DateTimeFormat(undefined, { year: 'numeric', month: 'short', day: '2-digit', ...clock })
  const whole = new Intl.NumberFormat()

  const known = (iso) => Boolean(iso) && !String(iso).startsWith('0001-') && !Number.isNaN(Date.parse(iso))

  function time(iso) {
    if (!known(iso)) return '–'
    const at = new Date(iso)
    return (at.getFullYear() === new Date().getFullYear() ? short : dated).format(at)
  }

  const fullTime = (iso) => (known(iso) ? dated.format(new Date(iso)) + ' ' + zoneAt(new Date(iso)) : '–')

  function zoneAt(at) {
    const part = new Intl.DateTimeFormat('en', { timeZoneName: 'shortOffset' }).formatToParts(at)
    return part.find((p) => p.type === 'timeZoneName')?.value || ''
  }

  // zone names the browser's time zone: "Europe/Berlin (GMT+1)".
  function zone() {
    const name = Intl.DateTimeFormat().resolvedOptions().timeZone
    const offset = zoneAt(new Date())
    return name === offset || !offset ? name : name + ' (' + offset + ')'
  }

  const UNITS = [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]]

  // span writes seconds in one or two units, seconds only where nothing else is: "3 h 20 min".
  function span(seconds) {
    const whole = Math.max(0, Math.round(seconds || 0))
    const at = UNITS.findIndex(([, length]) => whole >= length)
    if (at < 0) return '0 s'
    const [unit, length] = UNITS[at]
    const [finer, step] = UNITS[at + 1] || ['s', 1]
    const rest = finer === 's' ? 0 : Math.floor((whole % length) / step)
    return Math.floor(whole / length) + ' ' + unit + (rest ? ' ' + rest + ' ' + finer : '')
  }

  const ago = (iso) => (known(iso) ? span((Date.now() - Date.parse(iso)) / 1000) + ' ago' : 'never')

  // toLocal and fromLocal go between the wire and an <input type="datetime-local">.
  function toLocal(iso) {
    if (!known(iso)) return ''
    const at = new Date(iso)
    const text = new Date(at - at.getTimezoneOffset() * 60000).toISOString()
    return at.getUTCSeconds() ? text.slice(0, 19) : text.slice(0, 16)
  }

  function fromLocal(text) {
    const at = new Date(text)
    return text && !Number.isNaN(at.getTime()) ? at.toISOString().replace('.000Z', 'Z') : ''
  }

  // indent lays JSON out by its tokens alone. Parsing and writing it again would
  // round long numbers and drop repeated keys, and this text is evidence.
  function indent(json) {
    const tokens = json.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) || []
    let out = ''
    let depth = 0
    const line = () => '\n' + '  '.repeat(depth)
    tokens.forEach((token, i) => {
      const empty = (token === '}' || token === ']') && (tokens[i - 1] === '{' || tokens[i - 1] === '[')
      if (token === '{' || token === '[') depth++
      if (token === '}' || token === ']') depth--
      if ((token === '}' || token === ']') && !empty) out += line()
      out += token === ':' ? ': ' : token
      if (token === ',' || ((token === '{' || token === '[') && tokens[i + 1] !== '}' && tokens[i + 1] !== ']')) out += line()
    })
    return out
  }

  const FEEDS = {
    'entra.directory': 'Entra directory audits',
    'entra.signin': 'Entra sign-ins',
    'entra.signin.noninteractive': 'Entra sign-ins, non-interactive',
    'entra.signin.serviceprincipal': 'Entra sign-ins, service principals',
    'entra.signin.managedidentity': 'Entra sign-ins, managed identities',
    'entra.provisioning': 'Entra provisioning',
    'entra.risk': 'Entra risk',
    'intune.audit': 'Intune audits',
    'm365.exchange': 'Exchange',
    'm365.sharepoint': 'SharePoint and OneDrive',
    'm365.general': 'Teams and the rest of Microsoft 365',
    'm365.dlp': 'Data loss prevention',
    'm365.entra': 'Entra through the Management API',
    'purview.query': 'Purview audit search',
    'graph.notification': 'Graph notifications',
    'azure.monitor': 'Azure Monitor',
    aoc: 'AOC itself',
  }

  const RESULTS = { success: 'Success', failure: 'Failure', partial: 'Partial' }

  AOC.format = {
    time,
    fullTime,
    zone,
    span,
    ago,
    toLocal,
    fromLocal,
    indent,
    known,
    number: (n) => (n === null ? '–' : whole.format(n || 0)), // null is what the caller may not know
    count: (n, one, many) => whole.format(n) + ' ' + (n === 1 ? one : many),
    feed: (source) => FEEDS[source] || source,
    result: (result) => RESULTS[result] || 'Unknown',
    resultKey: (result) => (RESULTS[result] ? result : 'unknown'),
  }
})()
