// Copies values, checks now without a reload, and keeps the page up to date.
// Everything else works without this file.
(() => {
  'use strict';
  document.documentElement.classList.add('js');
  const live = document.getElementById('live');
  const here = location.pathname.replace(/\/+$/, '');
  const domain = document.title.split(' · ').pop();
  let shown = document.title.split(' · ')[0];
  let announced = '';
  let timer = 0;
  let busy = false;
  let polls = 0;

  const say = (text) => {
    if (live.textContent === text) live.textContent = '';
    requestAnimationFrame(() => { live.textContent = text; });
  };

  // Parts, by name, as the server wrote them. What did not change is left alone.
  const parsed = (html) => {
    const t = document.createElement('template');
    t.innerHTML = html;
    return t.content.firstElementChild;
  };
  const written = new Map();
  document.querySelectorAll('[data-part]').forEach((el) => written.set(el.dataset.part, el.outerHTML));

  const update = (state) => {
    const parts = Object.keys(state.parts);
    if (parts.length !== written.size || parts.some((p) => !written.has(p))) {
      location.reload(); // a record came or went
      return;
    }
    for (const part of parts) {
      const fresh = parsed(state.parts[part]);
      if (written.get(part) === fresh.outerHTML) continue;
      written.set(part, fresh.outerHTML);
      const old = document.querySelector(`[data-part="${part}"]`);
      const focused = old.contains(document.activeElement) ? document.activeElement.id : '';
      const open = [...old.querySelectorAll('details')].map((d) => d.open);
      fresh.querySelectorAll('details').forEach((d, i) => { if (i < open.length) d.open = open[i]; });
      old.replaceWith(fresh);
      if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    }
    shown = state.title;
    document.title = `${shown} · ${domain}`;
    if (announced && announced !== state.announce) say(state.announce);
    announced = state.announce;
    return state;
  };

  const next = (state) => {
    clearTimeout(timer);
    if (document.hidden) return;
    let wait = polls++ < 200 ? 3000 : 10000;
    if (state && state.status === 'active') wait = 30000;
    timer = setTimeout(poll, wait);
  };

  const poll = async () => {
    if (busy) { next(); return; }
    let state;
    try {
      const r = await fetch(`${here}/state`, { headers: { Accept: 'application/json' }, cache: 'no-store' });
      if (r.status === 404 || r.status === 410) { location.reload(); return; }
      if (r.ok) state = update(await r.json());
    } catch { /* offline: the next poll tries again */ }
    next(state);
  };

  const check = async (form) => {
    if (busy) return;
    busy = true;
    const button = form.querySelector('button');
    button.setAttribute('aria-disabled', 'true');
    button.textContent = 'Checking…';
    say('Checking.');
    let answer = 'The check did not work. Try again in a moment.';
    try {
      const r = await fetch(form.action, { method: 'POST', headers: { Accept: 'application/json' } });
      if (r.status === 404 || r.status === 410) { location.reload(); return; }
      if (r.status === 429) answer = `Checked a moment ago. Try again in ${r.headers.get('Retry-After') || 'some'} seconds.`;
      if (r.ok) {
        const state = await r.json();
        announced = state.announce;
        update(state);
        answer = state.announce;
      }
    } catch { /* said below */ }
    busy = false;
    const now = document.getElementById('check');
    now.removeAttribute('aria-disabled');
    now.textContent = 'Check now';
    say(answer);
    polls = 0;
    next();
  };

  const copy = async (button) => {
    const source = document.getElementById(button.dataset.copy);
    let done = false;
    try {
      await navigator.clipboard.writeText(source.textContent);
      done = true;
    } catch { // no permission, or a page without TLS
      const range = document.createRange();
      range.selectNodeContents(source);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      done = document.execCommand('copy');
      if (done) selection.removeAllRanges();
    }
    button.textContent = done ? 'Copied' : 'Press Ctrl+C';
    button.classList.toggle('done', done);
    say(done ? 'Copied.' : 'The value is selected. Press Control and C to copy it.');
    setTimeout(() => { button.textContent = 'Copy'; button.classList.remove('done'); }, 2000);
  };

  document.addEventListener('click', (e) => {
    const button = e.target.closest('[data-copy]');
    if (button) copy(button);
  });
  document.addEventListener('submit', (e) => {
    e.preventDefault();
    check(e.target);
  });
  document.addEventListener('visibilitychange', () => { if (!document.hidden) poll(); });
  poll();
})();
