// What the page shows of the sign-in: the screen before it, and who is signed in.
(function () {
  'use strict'

  // What a screen says, and the buttons below it by the names of their methods.
  const SCREENS = {
    starting: { title: 'One moment', text: 'Asking the API who may come in.' },
    leaving: { title: 'One moment', text: 'On the way to the sign-in.' },
    unreachable: { title: 'The API cannot be reached', text: '', retry: true },
    insecure: {
      title: 'Sign-in needs https or http://localhost',
      text: 'The browser gives a page what sign-in needs, its cryptography, only over an encrypted connection or on the machine itself. Open this page under one of these.',
    },
    'signed-out': { title: 'You are signed out', text: 'What was shown here is gone from this tab.', enter: true },
    unfinished: { title: 'The sign-in was not finished', text: 'Sign in to see the events.', enter: true },
    failed: { title: 'The sign-in did not work', text: '', enter: true },
    refused: { title: 'This sign-in is not accepted', text: 'Signing in again may help. If it does not, tell this to who runs AOC.', enter: true, other: true },
    denied: { title: 'No access', text: '', other: true, leave: true },
  }

  const QUIET = ['starting', 'leaving']

  document.addEventListener('alpine:init', () => {
    Alpine.data('session', () => ({
      state: 'starting',
      reason: '',
      name: '',
      upn: '',

      init() {
        this.begin()
      },

      async begin() {
        try {
          await AOC.auth.start()
        } catch (failure) {
          this.become({ state: 'unreachable', reason: AOC.api.told(failure), account: { name: '', upn: '' } })
        }
      },

      become({ state, reason, account }) {
        Object.assign(this, { state, reason, ...account })
        if (this.open) return
        document.title = this.screen.title + ' · Admin Operations Center'
        if (!QUIET.includes(state)) this.$nextTick(() => this.point())
      },

      // point goes where the person goes on, which also tells who does not see
      // the screen that it changed.
      point() {
        const target = document.querySelector('.gate button:not([hidden])') || document.getElementById('gate-title')
        target?.focus()
      },

      get open() {
        return this.state === 'open'
      },

      get screen() {
        return { text: '', retry: false, enter: false, other: false, leave: false, ...SCREENS[this.state] }
      },

      get text() {
        if (this.state !== 'denied') return this.screen.text
        return 'You are signed in as ' + (this.upn || this.name) + ', but have no access to AOC: ask for a role.'
      },

      get pending() {
        return QUIET.includes(this.state) ? 'true' : 'false'
      },

      signIn() {
        AOC.auth.signIn()
      },

      signInAsOther() {
        AOC.auth.signIn(true)
      },

      signOut() {
        AOC.auth.signOut()
      },
    }))
  })
})()
